package cli

import (
	"context"
	"errors"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/demo"
)

// playFor plays for a time; 0 has no end of its own. That the time is over is no error.
func playFor(env *Env, d time.Duration, o demo.Options) (demo.Progress, error) {
	if d <= 0 {
		return demo.Play(env.Context, o)
	}
	ctx, cancel := context.WithTimeout(env.Context, d)
	defer cancel()
	p, err := demo.Play(ctx, o)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return p, nil
	}
	return p, err
}
