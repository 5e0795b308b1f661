package wire

// DecodeSnapshot reads a page of a room's snapshot, as it comes over HTTP: a Frame of kind Snapshot.
func DecodeSnapshot(text []byte) (*Frame, error) {
	if !valid(text) {
		return nil, &Malformed{"the snapshot is no JSON"}
	}
	f := &Frame{Kind: Snapshot, Items: []*Frame{}}
	var has member
	err := object(text, func(name, value []byte) error {
		switch string(name) {
		case "kind":
			return nil
		case "messages":
			name = []byte("items")
		case "items":
			return nil
		}
		return f.set(&has, name, value)
	})
	if err != nil {
		return nil, &Malformed{"the snapshot: " + err.Error()}
	}
	if has&(hasStream|hasEventID|hasItems) != hasStream|hasEventID|hasItems {
		return nil, &Malformed{"the snapshot has no stream_id, event_id or messages"}
	}
	if has&hasMemberCount == 0 {
		f.MemberCount = int64(len(f.Members))
	}
	return f, nil
}
