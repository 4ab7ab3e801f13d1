package kerneltest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/ipvs"
)

// IPVS is an IPVS table in memory that answers as Linux does: it refuses to add
// what is there and to touch what is not, keeps its own copy of everything and
// prints itself as ipvsadm would save it. It satisfies what core/balance wants
// of a kernel. Its methods may be called from any goroutine.
//
// The zero value is a kernel without the ip_vs module; NewIPVS returns one with
// an empty table.
type IPVS struct {
	mu       sync.Mutex
	loaded   bool
	services map[ipvs.ServiceKey]*ipvs.Service
	log      []string
	dumps    int
	reads    int
	deny     error
	veto     func(*ipvs.Op) error
}

// NewIPVS returns a kernel with an empty table.
func NewIPVS() *IPVS {
	return &IPVS{loaded: true, services: map[ipvs.ServiceKey]*ipvs.Service{}}
}

// Load gives the kernel its module, with an empty table.
func (k *IPVS) Load() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.loaded = true
	k.services = map[ipvs.ServiceKey]*ipvs.Service{}
}

// Deny makes every call fail with err, as EPERM does without CAP_NET_ADMIN; nil
// ends that.
func (k *IPVS) Deny(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deny = err
}

// Veto has every operation shown to f before it is applied; an error of f is
// the operation's, and the table stays as it is. f may use the kernel, and so
// may stand for somebody who is faster. A nil f ends that.
func (k *IPVS) Veto(f func(*ipvs.Op) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.veto = f
}

// Dump returns the whole table, sorted, with the destinations of those services
// that interest (nil: all) says are of interest.
func (k *IPVS) Dump(interest func(ipvs.ServiceKey) bool) (ipvs.Table, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dumps++
	if err := k.ready(); err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	t := make(ipvs.Table, 0, len(k.services))
	for _, s := range k.services {
		c := *s
		c.Destinations = nil
		if interest == nil || interest(s.Key) {
			c.Destinations = slices.Clone(s.Destinations)
		}
		t = append(t, c)
	}
	t.Sort()
	return t, nil
}

// Read returns one service with its destinations, and false when there is none.
func (k *IPVS) Read(key ipvs.ServiceKey) (ipvs.Service, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reads++
	if err := k.ready(); err != nil {
		return ipvs.Service{}, false, fmt.Errorf("read service %v: %w", key, err)
	}
	s, ok := k.services[key]
	if !ok {
		return ipvs.Service{}, false, nil
	}
	c := *s
	c.Destinations = slices.Clone(s.Destinations)
	ipvs.SortDestinations(c.Destinations)
	return c, true, nil
}

// Apply does one operation and notes it in the log.
func (k *IPVS) Apply(op ipvs.Op) error {
	k.mu.Lock()
	veto := k.veto
	k.mu.Unlock()
	if veto != nil {
		if err := veto(&op); err != nil {
			return fmt.Errorf("%s: %w", op.String(), err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.do(&op); err != nil {
		return fmt.Errorf("%s: %w", op.String(), err)
	}
	k.log = append(k.log, op.String())
	return nil
}

// Outside does operations as somebody else: they are not in the log, and
// neither Deny nor Veto stops them. An operation that Linux would refuse panics,
// since the test is wrong then.
func (k *IPVS) Outside(ops ...ipvs.Op) {
	k.mu.Lock()
	defer k.mu.Unlock()
	deny := k.deny
	k.deny = nil
	defer func() { k.deny = deny }()
	for i := range ops {
		if err := k.do(&ops[i]); err != nil {
			panic(fmt.Sprintf("%s: %v", ops[i].String(), err))
		}
	}
}

// Put adds a whole service as somebody else.
func (k *IPVS) Put(s ipvs.Service) {
	k.Outside(ipvs.Diff(nil, nil, ipvs.Table{s}, nil)...)
}

// Flush empties the table as "ipvsadm -C" does.
func (k *IPVS) Flush() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.services)
}

// Log returns the operations that Apply did since the last call of Log, as
// ipvsadm's arguments.
func (k *IPVS) Log() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	log := k.log
	k.log = nil
	return log
}

// Calls returns how often the whole table and single services were asked for.
func (k *IPVS) Calls() (dumps, reads int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dumps, k.reads
}

// String prints the table as "ipvsadm -S -n" does. It works without the module
// and under Deny.
func (k *IPVS) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := make(ipvs.Table, 0, len(k.services))
	for _, s := range k.services {
		c := *s
		c.Destinations = slices.Clone(s.Destinations)
		t = append(t, c)
	}
	t.Sort()
	return t.String()
}

func (k *IPVS) ready() error {
	switch {
	case k.deny != nil:
		return k.deny
	case !k.loaded:
		return errors.New("the kernel has no IPVS")
	default:
		return nil
	}
}

// do answers with the errors of net/netfilter/ipvs/ip_vs_ctl.c: ESRCH for a
// missing service, ENOENT for a missing destination, EEXIST for either that is
// there, ERANGE for a weight or thresholds out of range.
func (k *IPVS) do(op *ipvs.Op) error {
	if err := k.ready(); err != nil {
		return err
	}
	s := k.services[op.Service.Key]
	switch {
	case op.Verb == ipvs.AddService && s != nil:
		return fmt.Errorf("%w (%w)", ipvs.ErrExists, unix.EEXIST)
	case op.Verb == ipvs.AddService:
		c := op.Service
		c.Destinations = nil
		k.services[c.Key] = &c
		return nil
	case s == nil:
		return fmt.Errorf("service %w (%w)", ipvs.ErrNotFound, unix.ESRCH)
	case op.Verb == ipvs.EditService:
		s.Scheduler, s.Flags, s.Persistence = op.Service.Scheduler, op.Service.Flags, op.Service.Persistence
		return nil
	case op.Verb == ipvs.DeleteService:
		delete(k.services, op.Service.Key)
		return nil
	default:
		return doDestination(s, op)
	}
}

func doDestination(s *ipvs.Service, op *ipvs.Op) error {
	d := op.Destination
	i := slices.IndexFunc(s.Destinations, func(o ipvs.Destination) bool { return o.Address == d.Address })
	switch {
	case op.Verb != ipvs.DeleteDestination && (d.Weight > ipvs.MaxWeight || d.LowerThreshold > d.UpperThreshold):
		return unix.ERANGE
	case op.Verb == ipvs.AddDestination && i >= 0:
		return fmt.Errorf("destination %w (%w)", ipvs.ErrExists, unix.EEXIST)
	case op.Verb == ipvs.AddDestination:
		s.Destinations = append(s.Destinations, d)
		return nil
	case i < 0:
		return fmt.Errorf("destination %w (%w)", ipvs.ErrNotFound, unix.ENOENT)
	case op.Verb == ipvs.EditDestination:
		s.Destinations[i] = d
		return nil
	default:
		s.Destinations = slices.Delete(s.Destinations, i, i+1)
		return nil
	}
}
