package speaker_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// replay is a socket on which packets arrive until a number of them was read.
type replay struct {
	packets [][]byte
	meta    wire.Meta
	left    int
	done    chan struct{}
}

func (r *replay) Receive([]byte) ([]byte, wire.Meta, error) {
	if r.left == 0 {
		return nil, wire.Meta{}, nil
	}
	if r.left--; r.left == 0 {
		close(r.done)
	}
	return r.packets[r.left%len(r.packets)], r.meta, nil
}

func (r *replay) Send([]byte, netip.Addr, netip.Addr) error { return nil }
func (r *replay) Close() error                              { return nil }

// nobody listens.
type nobody struct{}

func (nobody) Acquire(string)                         {}
func (nobody) Release(string)                         {}
func (nobody) Announce(string, vrrp.Announce)         {}
func (nobody) Changed(string, time.Time, vrrp.Action) {}
func (nobody) SocketChanged(string, error)            {}
func (nobody) Removed(string, time.Time)              {}

// BenchmarkPacket is what an advertisement costs a backup behind the socket,
// with one router and with 255 on the interface.
func BenchmarkPacket(b *testing.B) {
	for _, routers := range []int{1, 255} {
		b.Run(fmt.Sprintf("routers=%d", routers), func(b *testing.B) {
			r := &replay{left: b.N, done: make(chan struct{})}
			s := speaker.New(speaker.Options{
				Interface: "eth0", Addresses: nobody{}, Observer: nobody{},
				Open: func(speaker.Socket, chan<- struct{}) (speaker.Conn, error) { return r, nil },
			})
			for vrid := 1; vrid <= routers; vrid++ {
				c := config(200)
				c.VRID = uint8(vrid)
				message, meta := payload(b, c)
				r.packets, r.meta = append(r.packets, message), meta
				c.Priority = 100
				if err := s.Set(fmt.Sprint("VI_", vrid), c); err != nil {
					b.Fatal(err)
				}
			}
			s.SetLink(speaker.Link{Exists: true, Index: 2, Up: true, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			b.ReportAllocs()
			b.ResetTimer()
			go func() { ended <- s.Run(ctx) }()
			<-r.done
			b.StopTimer()
			cancel()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		})
	}
}
