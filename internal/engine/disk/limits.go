package disk

// SetLimits changes how much space is left free (negative: none) and how large the store may become (0: no limit) while
// it is open.
func (s *Store) SetLimits(freeReserve, maxBytes int64) {
	s.space.free.Store(freeReserve)
	s.space.most.Store(maxBytes)
	s.space.next.Store(0)
}

// Health says why the store cannot be used now: Unavailable while it is closed after a failure, Full while appends are
// refused; nil when all is well. It costs as little as an append's own look at the space.
func (s *Store) Health() error {
	l, err := s.use()
	if err != nil {
		return err
	}
	defer l.release()
	return s.room(l)
}
