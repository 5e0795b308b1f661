package server

import (
	"context"
	"net"
	"sync/atomic"
)

// tracked is a connection that tells when it is closed, whoever has taken it over. It keeps the methods of the socket,
// so that what writes to it can do so without blocking.
type tracked struct {
	*net.TCPConn
	onClose
}

// trackedUnix is the same over a unix socket.
type trackedUnix struct {
	*net.UnixConn
	onClose
}

// onClose is called once.
type onClose struct{ f atomic.Pointer[func()] }

// set reports whether there is nobody to be told yet.
func (o *onClose) set(f func()) bool { return o.f.CompareAndSwap(nil, &f) }

func (o *onClose) closed() {
	if f := o.f.Swap(nil); f != nil {
		(*f)()
	}
}

// Close implements net.Conn.
func (t *tracked) Close() error {
	t.closed()
	return t.TCPConn.Close()
}

// Close implements net.Conn.
func (t *trackedUnix) Close() error {
	t.closed()
	return t.UnixConn.Close()
}

// tracking accepts tracked connections.
type tracking struct{ net.Listener }

// Accept implements net.Listener.
func (l tracking) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	switch c := c.(type) {
	case *net.TCPConn:
		return &tracked{TCPConn: c}, nil
	case *net.UnixConn:
		return &trackedUnix{UnixConn: c}, nil
	}
	return c, nil
}

type trackedKey struct{}

// trackContext lets a request find its connection.
func trackContext(ctx context.Context, c net.Conn) context.Context {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = over.NetConn()
	}
	switch c := c.(type) {
	case *tracked:
		return context.WithValue(ctx, trackedKey{}, &c.onClose)
	case *trackedUnix:
		return context.WithValue(ctx, trackedKey{}, &c.onClose)
	}
	return ctx
}
