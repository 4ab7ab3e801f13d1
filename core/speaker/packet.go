package speaker

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// heard is the time from which a packet counts: when the kernel took it in, so
// that a deadline does not move by the time this goroutine took to wake up. It is
// never before what has been handled already: to a router time does not go back.
func (l *loop) heard(meta wire.Meta) time.Time {
	if meta.Arrived.After(l.handled) {
		return meta.Arrived
	}
	return time.Now()
}

// packet hands one packet to the router it is for.
func (l *loop) packet(now time.Time, payload []byte, meta wire.Meta) {
	l.counters.Packets++
	vrid, ok := wire.VRID(payload)
	if !ok {
		l.counters.Short++
		return
	}
	r := l.addressee(vrid, meta)
	if r == nil {
		l.stranger(now, vrid, meta.Source)
		return
	}
	expect := &r.expect
	if r.alsoV2 && wire.Version(payload[0]>>4) == wire.V2 {
		expect = &r.expectV2
	}
	if r.unicast != nil {
		// The receive checks then drop what was sent to the group.
		expect.Group = netip.Addr{}
		if !meta.Destination.IsMulticast() {
			if !r.admit(&meta) {
				r.counters.NotPeer++
				r.intruder = meta.Source
				return
			}
			expect.Group = meta.Destination
		}
	}
	findings, drop := expect.Check(payload, meta, &l.received.Advertisement)
	if drop != wire.DropNone {
		r.counters.Dropped[drop]++
		l.rejected = vrrp.AdvertRejected{Drop: drop, Advertisement: l.received.Advertisement, Source: meta.Source}
		l.rejected.Trailer, l.rejected.Signed = wire.TrailerOf(payload, expect.Family)
		l.handle(now, r, &l.rejected)
		return
	}
	r.counters.received(r.machine.State(), &l.received.Advertisement, findings)
	l.received.Source, l.received.Findings = meta.Source, findings
	if findings.Clock {
		l.received.Trailer, _ = wire.TrailerOf(payload, expect.Family)
	}
	l.handle(now, r, &l.received)
}

// addressee is the router that a packet is for, nil if there is none. Where
// several have the VRID, as unicast allows, it is the one that speaks to the group
// or has the sender for a peer.
func (l *loop) addressee(vrid uint8, meta wire.Meta) *router {
	list := l.byVRID[vrid]
	if len(list) == 0 {
		return nil
	}
	if len(list) > 1 {
		group := meta.Destination.IsMulticast()
		for _, r := range list {
			if group == (r.unicast == nil) && (group || r.peer(meta.Source) != nil) {
				return r
			}
		}
	}
	return list[0]
}

// Foreign is a virtual router that is not configured here, as one address speaks
// for it.
type Foreign struct {
	VRID    uint8
	Source  netip.Addr
	Packets uint64
	Last    time.Time
}

// foreignLimit is how many of them are told apart.
const foreignLimit = 1024

type foreignKey struct {
	vrid   uint8
	source netip.Addr
}

// stranger counts a packet for a router that is not configured here.
func (l *loop) stranger(now time.Time, vrid uint8, source netip.Addr) {
	l.foreign[vrid]++
	key := foreignKey{vrid, source}
	f := l.bySource[key]
	if f == nil {
		if len(l.bySource) >= foreignLimit {
			return
		}
		f = &Foreign{VRID: vrid, Source: source}
		l.bySource[key] = f
	}
	f.Packets++
	f.Last = now
}

// send puts an advertisement on the wire, here and now: to the group, or to each
// of the peers. That it does not reach one peer is no reason to keep it from the
// others.
func (l *loop) send(now time.Time, r *router, a *vrrp.SendAdvert) {
	next := r.number(a)
	var sent bool
	if r.unicast == nil {
		sent = l.sendTo(r, a, a.Destination, next) == nil
	} else {
		sent = l.sendToPeers(r, a, next)
	}
	if !sent {
		return
	}
	r.counters.Sent++
	if a.Advertisement.Priority == wire.PriorityRelease {
		r.counters.SentRelease++
		return
	}
	if a.Advertisement.Version != r.config.Version {
		return // The same once more, for those who know version 2 only.
	}
	if !r.sent.IsZero() {
		r.gap.observe(now.Sub(r.sent))
	}
	r.sent = now
}

// number is what tells one authenticated advertisement from the next. All copies
// of it have the same.
type number struct {
	sequence uint32
	stamp    wire.Stamp
}

func (r *router) number(a *vrrp.SendAdvert) (next number) {
	switch {
	case a.Advertisement.Auth.Type == wire.AuthHeader:
		next.sequence = r.sequence.Next()
	case r.config.HMAC.Sends():
		// Not the time of the event, which may be that of a packet: receivers
		// compare it with their clocks.
		next.stamp = r.stamps.Next(time.Now(), &r.config.HMAC)
	}
	return next
}

func (l *loop) sendToPeers(r *router, a *vrrp.SendAdvert, next number) (sent bool) {
	others := false
	for i := range r.peers {
		p := &r.peers[i]
		if p.Address == a.Source {
			continue
		}
		others = true
		if err := l.sendTo(r, a, p.Address, next); err != nil {
			p.SendErrors++
			p.SendError = err.Error()
			continue
		}
		p.Sent++
		sent = true
	}
	if !others {
		r.failed(fmt.Errorf("send on %s: the only peer is this router itself", l.speaker.options.Interface))
	}
	return sent
}

// sendTo encodes for each destination, since it enters the checksum.
func (l *loop) sendTo(r *router, a *vrrp.SendAdvert, destination netip.Addr, next number) (err error) {
	b := l.out[:0]
	switch hmac := &r.config.HMAC; {
	case a.Advertisement.Auth.Type == wire.AuthHeader:
		b, err = a.Advertisement.AppendAH(b, a.Source, destination, wire.HopLimit, next.sequence)
	case hmac.Sends():
		b, err = a.Advertisement.AppendHMAC(b, a.Source, destination, a.Checksum, hmac.Keys, next.stamp)
	default:
		b, err = a.Advertisement.Append(b, a.Source, destination, a.Checksum)
	}
	if err == nil {
		l.out = b
		err = l.transmit(r, b, a.Source, destination)
	}
	if err != nil {
		r.failed(err)
	}
	return err
}

func (l *loop) transmit(r *router, b []byte, source, destination netip.Addr) error {
	c := l.channel(r)
	if c.conn == nil {
		return fmt.Errorf("send on %s: no socket", l.speaker.options.Interface)
	}
	return c.conn.Send(b, source, destination)
}

// failed notes that an advertisement could not be sent.
func (r *router) failed(err error) {
	r.counters.SendErrors++
	r.sendError = err.Error()
}
