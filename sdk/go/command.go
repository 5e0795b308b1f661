package continuo

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// fill gives a command its text or payload.
func fill(c *wire.Command, text string, payload any) error {
	if payload != nil {
		data, err := json.Marshal(payload)
		if err != nil {
			return fmt.Errorf("continuo: a payload that is no JSON: %w", err)
		}
		c.Payload = data
		return nil
	}
	if text != "" || c.Event == "" {
		c.Text = &text
	}
	return nil
}

func given(version int64) *int64 {
	if version == 0 {
		return nil
	}
	return &version
}

// newKey makes an idempotency key of 128 random bits.
func newKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
