package bfdsock

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestArrival(t *testing.T) {
	now := time.Now()
	at := func(age time.Duration) stamp {
		wall := now.Add(-age).UnixNano()
		return stamp{wall / int64(time.Second), wall % int64(time.Second)}
	}
	for name, tc := range map[string]struct {
		stamp stamp
		age   time.Duration
	}{
		"not known":              {stamp{}, 0},
		"just now":               {at(0), 0},
		"a moment ago":           {at(123 * time.Microsecond), 123 * time.Microsecond},
		"as old as is trusted":   {at(trusted), trusted},
		"read after a stall":     {at(trusted + 1), 0},
		"the clock was set back": {at(-time.Nanosecond), 0},
		"by an hour":             {at(-time.Hour), 0},
		"the clock was set on":   {at(time.Hour), 0},
		"nonsense":               {stamp{1 << 62, -5}, 0},
	} {
		if got := now.Sub(arrival(now, tc.stamp)); got != tc.age {
			t.Errorf("%s: %v ago, want %v", name, got, tc.age)
		}
	}
}

// A control message written here is read back by the library's reader.
func TestAppendControl(t *testing.T) {
	ttl := binary.NativeEndian.AppendUint32(nil, 255)
	info := bytes.Repeat([]byte{7}, 20)
	b := appendControl(nil, unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, ttl)
	b = appendControl(b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, info)
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil || len(messages) != 2 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	for i, want := range []struct {
		kind int32
		data []byte
	}{{unix.IPV6_HOPLIMIT, ttl}, {unix.IPV6_PKTINFO, info}} {
		m := messages[i]
		if m.Header.Level != unix.IPPROTO_IPV6 || m.Header.Type != want.kind || !bytes.Equal(m.Data, want.data) {
			t.Errorf("message %d: %+v", i, m)
		}
	}
}
