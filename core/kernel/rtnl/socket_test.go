package rtnl

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// message encodes one netlink message.
func message(kind netlink.HeaderType, flags netlink.HeaderFlags, seq uint32, body ...byte) []byte {
	s := &socket{seq: seq - 1}
	return s.append(nil, request{kind: kind, flags: flags, body: body})
}

func TestMessagesSplitsDatagrams(t *testing.T) {
	// The first body is padded to the alignment and not part of the result.
	datagram := append(message(1, 2, 3, 'a', 'b', 'c'), message(4, 5, 6, 'd')...)
	var got []string
	err := messages(datagram, func(h netlink.Header, body []byte) error {
		got = append(got, string(body))
		if int(h.Length) != headerSize+len(body) {
			t.Errorf("length %d of a body of %d bytes", h.Length, len(body))
		}
		return nil
	})
	if err != nil || strings.Join(got, " ") != "abc d" {
		t.Errorf("messages %q, %v", got, err)
	}
}

func TestMessagesRefusesNonsense(t *testing.T) {
	short := message(1, 0, 1, 'a')
	binary.NativeEndian.PutUint32(short, headerSize-1)
	long := message(1, 0, 1, 'a')
	binary.NativeEndian.PutUint32(long, 1000)
	for name, datagram := range map[string][]byte{
		"no header": {1, 2, 3}, "length below the header": short, "length beyond the end": long,
	} {
		err := messages(datagram, func(netlink.Header, []byte) error { return nil })
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(message(unix.RTM_NEWLINK, 0, 1, make([]byte, linkHeaderSize)...))
	f.Add(message(unix.RTM_NEWADDR, 0, 1, append(make([]byte, addressHeaderSize), 8, 0, 2, 0, 192, 0, 2, 1)...))
	f.Add([]byte{16, 0, 0, 0})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		table := newTable()
		_ = messages(datagram, table.apply)
		view, _ := table.snapshot()
		if view == nil {
			return
		}
		for _, l := range view.Links {
			for _, a := range l.Addresses {
				if !a.IsValid() {
					t.Errorf("%x gave an invalid address", datagram)
				}
			}
		}
	})
}

func TestAnswer(t *testing.T) {
	number := func(errno int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(-errno)) }
	if err := answer(netlink.Header{Type: netlink.Error}, number(0)); err != nil {
		t.Errorf("acknowledgement: %v", err)
	}
	if err := answer(netlink.Header{Type: netlink.Error}, []byte{1}); err == nil {
		t.Error("an answer without a number is accepted")
	}
	attributes := netlink.NewAttributeEncoder()
	attributes.String(unix.NLMSGERR_ATTR_MSG, "the kernel's words")
	words, err := attributes.Encode()
	if err != nil {
		t.Fatal(err)
	}
	body := append(number(int32(unix.EINVAL)), make([]byte, headerSize)...)
	err = answer(netlink.Header{Type: netlink.Error, Flags: netlink.AcknowledgeTLVs}, append(body, words...))
	if !errors.Is(err, unix.EINVAL) || err.Error() != "invalid argument (the kernel's words)" {
		t.Errorf("got %v, want EINVAL with the kernel's words", err)
	}
}

func TestReadIsRepeatedWhenInterrupted(t *testing.T) {
	h := &Handle{}
	calls := 0
	err := h.read(func(*socket) error {
		if calls++; calls < 3 {
			return errDumpInterrupted
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v: want two interruptions repeated", calls, err)
	}
	other := errors.New("other")
	calls = 0
	if err := h.read(func(*socket) error { calls++; return other }); !errors.Is(err, other) || calls != 1 {
		t.Errorf("%d calls, %v: want no repetition of another error", calls, err)
	}
	calls = 0
	if err := h.read(func(*socket) error { calls++; return errDumpInterrupted }); !errors.Is(err, errDumpInterrupted) || calls != readAttempts {
		t.Errorf("%d calls, %v: want %d and the interruption", calls, err, readAttempts)
	}
}

func TestDeletionOrder(t *testing.T) {
	address := func(p string, secondary bool) inet.Address {
		return inet.Address{Prefix: netip.MustParsePrefix(p), Secondary: secondary}
	}
	present := []inet.Address{
		address("192.0.2.1/24", false), address("198.51.100.1/24", false),
		address("192.0.2.10/24", true), address("192.0.2.11/24", true),
	}
	for _, row := range []struct {
		name   string
		delete []netip.Prefix
		order  string
		takes  bool
	}{
		{"nothing", nil, "", false},
		{"missing", prefixes("203.0.113.1/24"), "", false},
		{"other prefix length", prefixes("192.0.2.1/32"), "", false},
		{"secondary alone", prefixes("192.0.2.10/24"), "192.0.2.10/24", false},
		{"primary alone", prefixes("192.0.2.1/24"), "192.0.2.1/24", true},
		{"primary of another subnet", prefixes("198.51.100.1/24"), "198.51.100.1/24", false},
		{"primary and one secondary", prefixes("192.0.2.1/24", "192.0.2.10/24"), "192.0.2.10/24 192.0.2.1/24", true},
		{"whole subnet", prefixes("192.0.2.1/24", "192.0.2.10/24", "192.0.2.11/24"), "192.0.2.11/24 192.0.2.10/24 192.0.2.1/24", false},
	} {
		going := deletionOrder(present, row.delete)
		var order []string
		for _, a := range going {
			order = append(order, a.Prefix.String())
		}
		if got := strings.Join(order, " "); got != row.order {
			t.Errorf("%s: order %q, want %q", row.name, got, row.order)
		}
		if got := takesOthersAlong(present, going); got != row.takes {
			t.Errorf("%s: takes others along = %v, want %v", row.name, got, row.takes)
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	index := func(string) (int, error) { return 2, nil }
	for _, r := range []inet.Route{
		{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []inet.NextHop{{Gateway: netip.MustParseAddr("fe80::1"), Link: "eth0"}}},
		{Destination: netip.MustParsePrefix("2001:db8::/32"), NextHops: []inet.NextHop{{Link: "eth0"}, {Gateway: netip.MustParseAddr("fe80::1")}}, Metrics: inet.Metrics{MTU: 1400, CongestionControl: "reno"}},
	} {
		f.Add(newRoute(r, index, 0).body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, _, err := parseRoute(body, func(int) string { return "eth0" })
		if err == nil && !r.Destination.IsValid() {
			t.Errorf("%x gave an invalid route", body)
		}
		_ = r.String()
	})
}

func FuzzParseRule(f *testing.F) {
	f.Add(ruleRequest(unix.RTM_NEWRULE, 0, inet.Rule{Priority: 1, From: netip.MustParsePrefix("192.0.2.0/24"), UIDs: inet.Some(inet.Range{}), TunnelID: 1}).body)
	f.Fuzz(func(_ *testing.T, body []byte) {
		r, _, _ := parseRule(body)
		_, _ = r.ID().String(), r.Check()
	})
}
