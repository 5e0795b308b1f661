package node

import (
	"context"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Publish is one entry for one channel.
type Publish struct {
	Ref   stream.Ref
	Entry stream.Entry // a create, a put, a mutation or an annotation: see stream.Op
	// Key makes the publish idempotent for the app's time, with the fingerprint of the whole request. Empty: not.
	Key         string
	Fingerprint [16]byte
	TTL         time.Duration // 0: the app's
	Guard       stream.Guard  // IfVersion, IfAbsent; the policy's limits are added
	// Ephemeral delivers without logging.
	Ephemeral bool
	// Position says that the answer names the position, so it must wait until the entry is visible.
	Position bool
	// Client marks what a client publishes, which policies may forbid apart from backends.
	Client bool
}

// Publish appends. Results are in order, one each; a result of an ephemeral publish has Outcome Applied and no entry.
// An error means that nothing was decided, and nothing delivered. Mutations need a policy that allows them.
func (n *Node) Publish(ctx context.Context, ps ...Publish) ([]stream.Result, error) {
	ops := make([]stream.Op, 0, len(ps))
	at := make([]int, 0, len(ps))
	results := make([]stream.Result, len(ps))
	var fleeting []*Publish
	for i := range ps {
		p := &ps[i]
		policy, err := n.policy(p.Ref)
		if err != nil {
			return nil, err
		}
		if err := allows(policy, p); err != nil {
			results[i] = stream.Result{Outcome: stream.Refused, Err: err}
			continue
		}
		if p.Ephemeral || policy.NoLog {
			fleeting = append(fleeting, p)
			results[i] = stream.Result{Outcome: stream.Applied}
			continue
		}
		ops, at = append(ops, n.op(policy, p)), append(at, i)
	}
	if len(ops) > 0 {
		answers, err := n.store.Append(ctx, ops)
		if err != nil {
			return nil, err
		}
		for k, r := range answers {
			results[at[k]] = r
		}
	}
	for _, p := range fleeting {
		n.hub.Ephemeral(p.Ref, p.Entry)
	}
	return results, nil
}

// allows reports whether the policy lets p happen at all.
func allows(policy *app.Policy, p *Publish) error {
	switch {
	case p.Client && !policy.ClientsPublish():
		return fault.New(fault.Forbidden, "the policy of channel %q does not let clients publish", p.Ref.Channel)
	case !p.Client && !policy.ServerPublishes():
		return fault.New(fault.Forbidden, "the policy of channel %q does not let backends publish", p.Ref.Channel)
	case policy.NoLog && p.Entry.Kind != stream.Create && p.Entry.Kind != stream.Put:
		return fault.New(fault.Disabled, "channel %q keeps no log, so there is nothing to change", p.Ref.Channel)
	case !policy.Mutable && (p.Entry.Kind.Mutation() && p.Entry.Key == "" || p.Entry.Kind == stream.Annotate || p.Entry.Kind == stream.Unannotate):
		return fault.New(fault.Disabled, "channel %q has no mutable messages: set `mutable: true` in its policy", p.Ref.Channel)
	}
	return nil
}

// op is what the store is asked for.
func (n *Node) op(policy *app.Policy, p *Publish) stream.Op {
	op := stream.Op{Ref: p.Ref, Entry: p.Entry, Guard: p.Guard, Early: !p.Position && p.Key == ""}
	op.Guard.MaxBytes = uint64(max(0, policy.MaxMessage))
	op.Guard.MaxVersion = uint32(max(0, policy.MaxVersion))
	if p.Key != "" {
		ttl := p.TTL
		if ttl == 0 {
			ttl = app.DefaultIdempotency
			if a, ok := n.Apps().ByID(p.Ref.App); ok {
				ttl = a.Idempotency
			}
		}
		op.Receipt = &stream.Receipt{Key: p.Key, Fingerprint: p.Fingerprint, TTL: ttl}
	}
	return op
}

// Cut trims, purges or resets a stream.
func (n *Node) Cut(ctx context.Context, c stream.Cut) (stream.CutResult, error) {
	if _, err := n.policy(c.Ref); err != nil {
		return stream.CutResult{}, err
	}
	return n.store.Cut(ctx, c)
}
