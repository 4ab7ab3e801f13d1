package ipvsnl

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"testing"

	lvs "github.com/cloudflare/ipvs"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/ipvs"
)

// answer is an error as the kernel's comes out of the netlink package.
func answer(errno unix.Errno) error {
	return &netlink.OpError{Op: "receive", Err: errno}
}

// module is the kernel module that scripted connections belong to. A connection
// knows the module by the id that it had when it connected.
type module struct {
	id     int // 0: not loaded
	dials  int
	closed int
	fail   error // of every command but Info
	panic  bool
	calls  []string
	list   ipvs.Table
}

type scripted struct {
	m  *module
	id int
}

func (m *module) handle() *Handle {
	return &Handle{home: nil, dial: func() (connection, error) {
		m.dials++
		if m.id == 0 {
			return nil, answer(unix.ENOENT)
		}
		return &scripted{m: m, id: m.id}, nil
	}}
}

func (s *scripted) do(call string) error {
	switch {
	case s.id != s.m.id:
		return answer(unix.ENOENT)
	case call == "info":
		return nil
	case s.m.panic:
		_ = []byte{}[:s.id] // Like the library with a short message.
	}
	s.m.calls = append(s.m.calls, call)
	return s.m.fail
}

func (s *scripted) close() error { s.m.closed++; return nil }

func (s *scripted) Info() (lvs.Info, error) { return lvs.Info{Version: [3]int{1, 2, 1}}, s.do("info") }

func (s *scripted) services() (ipvs.Table, error) {
	if err := s.do("services"); err != nil {
		return nil, err
	}
	return s.m.list.Clone(), nil
}

func (s *scripted) service(ipvs.ServiceKey) (ipvs.Service, error) {
	if err := s.do("service"); err != nil {
		return ipvs.Service{}, err
	}
	return s.m.list[0], nil
}

func (s *scripted) destinations(list []ipvs.Destination, _ ipvs.ServiceKey) ([]ipvs.Destination, error) {
	return list, s.do("destinations")
}

func (s *scripted) CreateService(lvs.Service) error { return s.do("create service") }
func (s *scripted) UpdateService(lvs.Service) error { return s.do("update service") }
func (s *scripted) RemoveService(lvs.Service) error { return s.do("remove service") }

func (s *scripted) CreateDestination(lvs.Service, lvs.Destination) error {
	return s.do("create destination")
}

func (s *scripted) UpdateDestination(lvs.Service, lvs.Destination) error {
	return s.do("update destination")
}

func (s *scripted) RemoveDestination(lvs.Service, lvs.Destination) error {
	return s.do("remove destination")
}

var web = ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: "mh"}

func op(v ipvs.Verb) ipvs.Op {
	o := ipvs.Op{Verb: v, Service: web}
	if o.AboutDestination() {
		o.Destination.Address = netip.MustParseAddrPort("192.0.2.30:80")
	}
	return o
}

func TestApplyCallsTheRightCommand(t *testing.T) {
	m := &module{id: 1}
	h := m.handle()
	for v := ipvs.AddService; v <= ipvs.DeleteDestination; v++ {
		if err := h.Apply(op(v)); err != nil {
			t.Error(err)
		}
	}
	want := "create service, update service, remove service, create destination, update destination, remove destination"
	if got := strings.Join(m.calls, ", "); got != want {
		t.Errorf("called %s", got)
	}
	if m.dials != 1 {
		t.Errorf("connected %d times", m.dials)
	}
	if err := h.Apply(ipvs.Op{Verb: 99}); err == nil {
		t.Error("an operation that there is not succeeds")
	}
}

func TestErrorsSayWhatAndWhatToDo(t *testing.T) {
	const service, destination = " tcp:192.0.2.10:80", " tcp:192.0.2.10:80 192.0.2.30:80"
	tests := []struct {
		verb  ipvs.Verb
		errno unix.Errno
		is    error
		want  string
	}{
		{ipvs.AddService, unix.EEXIST, ipvs.ErrExists, "add service" + service + ": already exists"},
		{ipvs.AddService, unix.ENOENT, nil, `add service` + service + `: the kernel has no scheduler "mh": load it with "modprobe ip_vs_mh"`},
		{ipvs.EditService, unix.ENOENT, nil, `edit service` + service + `: the kernel has no scheduler "mh": load it with "modprobe ip_vs_mh"`},
		{ipvs.EditService, unix.ESRCH, ipvs.ErrNotFound, "edit service" + service + ": service not found"},
		{ipvs.DeleteService, unix.ESRCH, ipvs.ErrNotFound, "delete service" + service + ": service not found"},
		{ipvs.AddDestination, unix.EEXIST, ipvs.ErrExists, "add destination" + destination + ": already exists"},
		{ipvs.AddDestination, unix.ESRCH, ipvs.ErrNotFound, "add destination" + destination + ": service not found"},
		{ipvs.EditDestination, unix.ENOENT, ipvs.ErrNotFound, "edit destination" + destination + ": destination not found"},
		{ipvs.DeleteDestination, unix.ENOENT, ipvs.ErrNotFound, "delete destination" + destination + ": destination not found"},
		{ipvs.EditDestination, unix.EPERM, fs.ErrPermission, "CAP_NET_ADMIN"},
		{ipvs.EditDestination, unix.ERANGE, unix.ERANGE, "edit destination" + destination + ": "},
	}
	for _, tt := range tests {
		m := &module{id: 1, fail: answer(tt.errno)}
		h := m.handle()
		err := h.Apply(op(tt.verb))
		switch {
		case err == nil || !strings.Contains(err.Error(), tt.want):
			t.Errorf("%v, %v: %v, want %q", tt.verb, tt.errno, err, tt.want)
		case tt.is != nil && !errors.Is(err, tt.is):
			t.Errorf("%v, %v: %v is not %v", tt.verb, tt.errno, err, tt.is)
		case tt.is == nil && (errors.Is(err, ipvs.ErrNotFound) || errors.Is(err, ipvs.ErrExists)):
			t.Errorf("%v, %v: %v is taken for a table that is not as thought", tt.verb, tt.errno, err)
		}
		// Not even a doubtful ENOENT costs a connection that is all right.
		if m.dials != 1 {
			t.Errorf("%v, %v: connected %d times", tt.verb, tt.errno, m.dials)
		}
	}
}

func TestModuleMissing(t *testing.T) {
	m := &module{}
	h := m.handle()
	_, err := h.Dump(nil)
	if err == nil || !strings.Contains(err.Error(), `list IPVS services: the kernel has no IPVS: load it with "modprobe ip_vs"`) {
		t.Errorf("dump: %v", err)
	}
	if _, err := h.Version(); err == nil || !strings.Contains(err.Error(), "modprobe ip_vs") {
		t.Errorf("version: %v", err)
	}
	m.id = 1
	if v, err := h.Version(); err != nil || v != "1.2.1" {
		t.Errorf("after loading: %q, %v", v, err)
	}
}

// A module that is unloaded and loaded again has another family id: whichever
// call meets that first goes through all the same.
func TestModuleReloaded(t *testing.T) {
	calls := map[string]func(*Handle) error{
		"dump":  func(h *Handle) error { _, err := h.Dump(nil); return err },
		"read":  func(h *Handle) error { _, _, err := h.Read(web.Key); return err },
		"apply": func(h *Handle) error { return h.Apply(op(ipvs.DeleteDestination)) },
		"info":  func(h *Handle) error { _, err := h.Version(); return err },
	}
	for name, call := range calls {
		m := &module{id: 1, list: ipvs.Table{web}}
		h := m.handle()
		if err := call(h); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m.id = 2
		if err := call(h); err != nil {
			t.Errorf("%s after the reload: %v", name, err)
		}
		if m.dials != 2 || m.closed != 1 {
			t.Errorf("%s: connected %d times, closed %d", name, m.dials, m.closed)
		}
		m.id = 0
		if err := call(h); err == nil || !strings.Contains(err.Error(), "modprobe ip_vs") {
			t.Errorf("%s after unloading: %v", name, err)
		}
	}
}

func TestEmptyTableIsNoError(t *testing.T) {
	m := &module{id: 1}
	if table, err := m.handle().Dump(nil); err != nil || len(table) != 0 {
		t.Errorf("got %v, %v", table, err)
	}
	m.list = ipvs.Table{web}
	s, ok, err := m.handle().Read(web.Key)
	if err != nil || !ok || s.Key != web.Key || len(s.Destinations) != 0 {
		t.Errorf("got %v, %v, %v", s, ok, err)
	}
}

func TestReadOfNothing(t *testing.T) {
	m := &module{id: 1, fail: answer(unix.ESRCH)}
	if s, ok, err := m.handle().Read(web.Key); ok || err != nil {
		t.Errorf("got %v, %v, %v", s, ok, err)
	}
}

func TestDumpAsksOnlyWhatIsOfInterest(t *testing.T) {
	other := ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, netip.MustParseAddrPort("192.0.2.9:80")), Scheduler: "rr"}
	m := &module{id: 1, list: ipvs.Table{web, other, web}}
	table, err := m.handle().Dump(func(k ipvs.ServiceKey) bool { return k == web.Key })
	if err != nil {
		t.Fatal(err)
	}
	// Sorted, and what came twice is there once.
	if len(table) != 2 || table[0].Key != other.Key || table[1].Key != web.Key {
		t.Errorf("got %v", table)
	}
	if got := strings.Join(m.calls, ", "); got != "services, destinations" {
		t.Errorf("called %s", got)
	}
}

func TestShortMessageIsAnError(t *testing.T) {
	m := &module{id: 1, panic: true}
	h := m.handle()
	if err := h.Apply(op(ipvs.AddService)); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v", err)
	}
	if m.closed != 1 {
		t.Error("the connection is kept although it is out of step")
	}
	m.panic = false
	if err := h.Apply(op(ipvs.AddService)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestClose(t *testing.T) {
	m := &module{id: 1}
	h := m.handle()
	if err := h.Apply(op(ipvs.AddService)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	if m.closed != 1 {
		t.Errorf("closed %d times", m.closed)
	}
	if _, err := h.Dump(nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed handle answers %v", err)
	}
}

func TestOpenNeedsNoIPVS(t *testing.T) {
	h, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := h.Epoch()
	if err != nil || !strings.Contains(epoch, "/") {
		t.Errorf("epoch %q, %v", epoch, err)
	}
	if again, _ := h.Epoch(); again != epoch {
		t.Errorf("epoch %q, then %q", epoch, again)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
