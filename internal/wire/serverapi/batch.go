package serverapi

import (
	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// DecodeBatch reads the body of POST /apps/{app}/batch_events.
func DecodeBatch(body []byte, lim *app.Limits) ([]Event, error) {
	v, err := parseBody(body, false)
	if err != nil {
		return nil, err
	}
	list := v.Get("batch")
	if list.Kind() != envelope.Array {
		return nil, wrongKind("batch", "an array of events", list)
	}
	var events []Event
	for item := range list.Items() {
		if len(events) == lim.BatchSize {
			return nil, fault.New(fault.Invalid, "the batch has more than the %d events that it may have", lim.BatchSize).In("batch")
		}
		at := "batch[" + itoa(uint64(len(events))) + "]"
		if item.Kind() != envelope.Object {
			return nil, wrongKind(at, "an event", item)
		}
		e, err := event(item, lim, false)
		if err != nil {
			return nil, within(at, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// within says in which part of the body a fault is.
func within(at string, err error) error {
	f := *fault.Of(err)
	f.Msg = at + ": " + f.Msg
	if f.Field != "" {
		f.Field = at + "." + f.Field
	}
	return &f
}
