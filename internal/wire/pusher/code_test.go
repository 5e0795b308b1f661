package pusher

import (
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func TestEveryFaultHasACode(t *testing.T) {
	for _, k := range fault.Kinds() {
		if codes[k] == 0 {
			t.Errorf("%v has no code", k)
		}
	}
}

func TestEveryReasonHasWords(t *testing.T) {
	for _, r := range stream.Reasons() {
		if _, ok := denials[r]; ok == (r == stream.StoreUnavailable) {
			t.Errorf("%v: words %v; all but store_unavailable have some, since clients throw their position away on them", r, ok)
		}
	}
}

func TestEveryCauseHasAClose(t *testing.T) {
	for c := session.ByApp; c <= session.ServerError; c++ {
		if closes[c].Code == 0 || len(closes[c].Reason) > 120 {
			t.Errorf("cause %d: %+v", c, closes[c])
		}
	}
}

func TestRefuse(t *testing.T) {
	tests := []struct {
		protocol Protocol
		refusal  Refusal
		code     uint16
		frame    string
	}{
		{V1, UnknownApp, 4001, `{"event":"pusher:error","data":{"code":4001,"message":"No app has this key."}}`},
		{V2, DisabledApp, 4003, `{"event":"sockudo:error","data":{"code":4003,"message":"The application is disabled."}}`},
		{V1, OverQuota, 4004, `{"event":"pusher:error","data":{"code":4004,"message":"The application is over its connection quota."}}`},
		{V1, BadOrigin, 4009, `{"event":"pusher:error","data":{"code":4009,"message":"Origin not allowed"}}`},
		{V1, NodeFull, 4100, `{"event":"pusher:error","data":{"code":4100,"message":"The server is over capacity."}}`},
	}
	for _, tt := range tests {
		frame, end := Refuse(tt.protocol, tt.refusal)
		if string(frame) != tt.frame || end.Code != tt.code {
			t.Errorf("Refuse(%d, %d) = %s, %d", tt.protocol, tt.refusal, frame, end.Code)
		}
	}
}

func TestParseQuery(t *testing.T) {
	tests := []struct {
		raw  string
		want Query
		kind fault.Kind
		bad  bool
	}{
		{raw: "", want: Query{Protocol: V1}},
		{raw: "protocol=7&client=js&version=8.4.0&flash=false", want: Query{Protocol: V1}},
		{raw: "protocol=2", want: Query{Protocol: V2}},
		{raw: "protocol=7&format=msgpack&append_mode=nonsense", want: Query{Protocol: V1}},
		{raw: "protocol=2&format=%20JSON&echo_messages=false&append_mode=full&append_rollup_window=40&token=t",
			want: Query{Protocol: V2, NoEcho: true, Full: true, Rollup: 40e6, Token: "t"}},
		{raw: "protocol=300", bad: true, kind: fault.Invalid},
		{raw: "protocol=two", bad: true, kind: fault.Invalid},
		{raw: "protocol=2&format=xml", bad: true, kind: fault.Invalid},
		{raw: "protocol=2&format=protobuf", bad: true, kind: fault.Unsupported},
		{raw: "protocol=2&echo_messages=maybe", bad: true, kind: fault.Invalid},
		{raw: "protocol=2&append_mode=half", bad: true, kind: fault.Invalid},
		{raw: "protocol=2&append_rollup_window=30", bad: true, kind: fault.Invalid},
		{raw: "protocol=2&protocol=7", bad: true, kind: fault.Invalid},
	}
	for _, tt := range tests {
		got, err := ParseQuery(tt.raw)
		if (err != nil) != tt.bad || err != nil && fault.KindOf(err) != tt.kind || err == nil && got != tt.want {
			t.Errorf("ParseQuery(%q) = %+v, %v", tt.raw, got, err)
		}
	}
}
