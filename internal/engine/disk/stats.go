package disk

// Stats is what the store says about itself.
type Stats struct {
	Open           bool // false while it is being reopened after a failure
	Epoch          string
	DiskBytes      uint64 // all files
	TableBytes     uint64
	Tables         int64
	LogBytes       uint64
	MemoryBytes    uint64 // memtables and block cache
	CachedStreams  int
	Flushes        int64
	Compactions    int64
	CompactionDebt uint64
	ReadAmp        int // tables that a read may have to look into
	BackgroundWork int // trims and state rows that wait
}

// Stats looks at counters only; it costs microseconds.
func (s *Store) Stats() Stats {
	l, err := s.use()
	if err != nil {
		return Stats{}
	}
	defer l.release()
	m := l.db.Metrics()
	total := m.Total()
	st := Stats{Open: true, Epoch: l.epoch, DiskBytes: m.DiskSpaceUsage(), TableBytes: uint64(total.TablesSize),
		Tables: total.TablesCount, LogBytes: m.WAL.PhysicalSize, MemoryBytes: m.MemTable.Size + uint64(m.BlockCache.Size),
		Flushes: m.Flush.Count, Compactions: m.Compact.Count, CompactionDebt: m.Compact.EstimatedDebt, ReadAmp: m.ReadAmp()}
	for _, sh := range l.shards {
		sh.cache.mu.Lock()
		st.CachedStreams += len(sh.cache.m)
		sh.cache.mu.Unlock()
	}
	l.tasks.mu.Lock()
	st.BackgroundWork = len(l.tasks.queue) + len(l.tasks.busy)
	l.tasks.mu.Unlock()
	return st
}
