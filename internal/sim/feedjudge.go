package sim

// The feed has no stream ids, so what its clients saw is judged as what clients without serials saw: by where others
// learned that the payloads are. But a run goes on over sessions for as long as every resume is accepted.

// follows says that a client of the feed is subscribed, and that its run goes on.
func (o *Oracle) follows(f *follow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.attached, f.session = true, "feed"
	if f.fleeting == nil {
		f.fleeting = map[payload]bool{}
	}
}

// closed says that a session of a client has ended.
func (o *Oracle) closed(f *follow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.attached = false
}

// refusedFeed says that continuity was refused: then there must be a reason, and the run ends.
func (o *Oracle) refusedFeed(channel string, f *follow, reason string, presented bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.channels[channel]
	o.counts.Refused++
	if presented {
		o.counts.Resumes++
	}
	mayReset := len(b.ended) > 0 || b.ending > 0 || b.kind.volatile && b.boots > 0
	if justified := reason == "server_restarted" && mayReset || (reason == "resume_window_exceeded" || reason == "client_backpressure") && b.trimmed; !justified {
		o.violated("P3 %s: %s was refused with %s without a reason", channel, f.client, reason)
	}
	f.endRun()
	f.attached, f.session = true, "feed"
	if f.fleeting == nil {
		f.fleeting = map[payload]bool{}
	}
}

// whole reports whether nothing was ever trimmed from a channel.
func (o *Oracle) whole(channel string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.channels[channel].trimmed
}
