package watch

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// datagram is an event as the kernel sends it.
func datagram(what uint32, data ...uint32) []byte {
	b := make([]byte, eventData, 76)
	binary.NativeEndian.PutUint32(b[connectorHeader:], connectorProc)
	binary.NativeEndian.PutUint32(b[connectorHeader+4:], connectorProc)
	binary.NativeEndian.PutUint32(b[eventStart:], what)
	for _, d := range data {
		b = binary.NativeEndian.AppendUint32(b, d)
	}
	return b[:76]
}

func TestParseHappening(t *testing.T) {
	other := datagram(eventExec, 5, 5)
	binary.NativeEndian.PutUint32(other[connectorHeader:], 9)
	for _, row := range []struct {
		name string
		b    []byte
		want happening
		ok   bool
	}{
		{"fork", datagram(eventFork, 10, 11, 12, 13), happening{what: eventFork, parent: 11, pid: 13}, true},
		{"exec", datagram(eventExec, 5, 6), happening{what: eventExec, pid: 6}, true},
		{"comm", datagram(eventComm, 5, 6), happening{what: eventComm, pid: 6}, true},
		{"exit", datagram(eventExit, 5, 6, 9), happening{what: eventExit, pid: 6}, true},
		{"allowed", datagram(eventAnswer, 0), happening{what: eventAnswer}, true},
		{"refused", datagram(eventAnswer, uint32(unix.EPERM)), happening{what: eventAnswer, failure: unix.EPERM}, true},
		{"change of user", datagram(4, 5, 6), happening{}, false},
		{"another connector", other, happening{}, false},
		{"short", datagram(eventExec, 5, 6)[:eventSize-1], happening{}, false},
		{"empty", nil, happening{}, false},
	} {
		if got, ok := parseHappening(row.b); got != row.want || ok != row.ok {
			t.Errorf("%s: %+v, %v, want %+v, %v", row.name, got, ok, row.want, row.ok)
		}
	}
}

func FuzzParseHappening(f *testing.F) {
	f.Add(datagram(eventFork, 10, 11, 12, 13))
	f.Add(datagram(eventAnswer, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, ok := parseHappening(b); !ok && h != (happening{}) {
			t.Errorf("%x gives %+v and is none", b, h)
		}
	})
}

func TestEventFilter(t *testing.T) {
	vm, err := bpf.NewVM(eventFilter())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"answer", datagram(eventAnswer, 0), true},
		{"process", datagram(eventFork, 1, 1, 7, 7), true},
		{"process of a thread", datagram(eventFork, 2, 1, 7, 7), true},
		{"thread", datagram(eventFork, 1, 1, 7, 1), false},
		{"exec", datagram(eventExec, 7, 7), true},
		{"exit", datagram(eventExit, 7, 7), true},
		{"exit of a thread", datagram(eventExit, 7, 1), false},
		{"name", datagram(eventComm, 7, 7), true},
		{"name of a thread", datagram(eventComm, 7, 1), false},
		{"change of user", datagram(4, 7, 7), false},
		{"core dump", datagram(0x40000000, 7, 7), false},
	} {
		got, err := vm.Run(row.b)
		if err != nil || (got > 0) != row.want {
			t.Errorf("%s: %d, %v, want %v", row.name, got, err, row.want)
		}
		if row.want && got < len(row.b) {
			t.Errorf("%s is cut off at %d", row.name, got)
		}
	}
}

func TestParseStat(t *testing.T) {
	for text, want := range map[string]struct {
		comm  string
		alive bool
	}{
		"1 (init) S 0 1 1":          {"init", true},
		"7 (a) b) (c) R 1":          {"a) b) (c", true},
		"7 (two words) D 1":         {"two words", true},
		"7 (gone) Z 1":              {"gone", false},
		"7 (dead) X 1":              {"dead", false},
		"7 () S 1":                  {"", true},
		"":                          {"", false},
		"7 (half":                   {"", false},
		"7 half) S":                 {"", false},
		"7 (end)":                   {"", false},
		"7 (end) ":                  {"", false},
		"7 (line\nbreak) S 1 2 3\n": {"line\nbreak", true},
	} {
		comm, alive := parseStat([]byte(text))
		if comm != want.comm || alive != want.alive {
			t.Errorf("%q: %q, %v, want %+v", text, comm, alive, want)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (a) b) S 1"))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, b []byte) {
		if comm, _ := parseStat(b); !bytes.Contains(b, []byte(comm)) {
			t.Errorf("%q gives %q", b, comm)
		}
	})
}
