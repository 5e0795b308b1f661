package memory_test

import (
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/core/stream/streamtest"
	"github.com/continuo-rt/continuo/internal/engine/memory"
)

func TestStore(t *testing.T) {
	streamtest.Run(t, func(t *testing.T, o streamtest.Options) streamtest.Harness {
		s := memory.New(memory.Options{Now: o.Now, Rules: o.Rules, Folds: o.Folds})
		return streamtest.Harness{Store: s, Reopen: func() stream.Store { s = s.Reopen(); return s },
			Maintain: func() error { return s.Maintain(t.Context()) }}
	})
}
