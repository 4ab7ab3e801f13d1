// Package balance makes the kernel's IPVS table what the virtual servers' pools
// want it to be, and keeps it so.
//
// One goroutine, in Run, owns everything: the pools, what is known of the
// kernel, and the kernel's table as far as it is ours. Post, PostLoss and Apply
// leave something in a mailbox and return at once; nothing that waits for the
// kernel ever makes a caller wait. The kernel is compared with what is wanted
// at start, after a change, every interval and after an error; only the
// difference is applied.
//
//	Apply ------+                        +--> Kernel.Dump, Read, Apply
//	Post -------+--> mailbox --> Run ----+--> Observer (must not block)
//	PostLoss ---+    (merges)     | ^    +--> record file: which services are ours
//	Snapshot ---+                 v |
//	                          pool.Server, one per virtual server
//
// A service is ours if it is configured or if the record says that an earlier
// run made it; all others are never touched. The package never decides who is
// in service, which is core/pool's work, and talks to no plugin.
//
// Read Balancer first.
package balance

import (
	"context"
	"log/slog"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
)

// Kernel is an IPVS table. errors.Is on what Apply returns must tell
// ipvs.ErrExists and ipvs.ErrNotFound.
type Kernel interface {
	// Dump returns all services, sorted, with the destinations at least of those
	// that interest says are of interest. It asks in order, and reads one
	// service's destinations before it asks about the next.
	Dump(interest func(ipvs.ServiceKey) bool) (ipvs.Table, error)
	// Read returns one service, and false when there is none.
	Read(ipvs.ServiceKey) (ipvs.Service, bool, error)
	// Apply does one operation.
	Apply(ipvs.Op) error
}

// Observer is told what happens, from Run's goroutine. It must not block and must
// not call the Balancer.
type Observer interface {
	// Changed passes on what a virtual server's pool decided.
	Changed(service string, a pool.Action)
	// Drifted tells that somebody else had changed the kernel's table, and that
	// it is repaired.
	Drifted(Drift)
}

// Config is what a Balancer works with.
type Config struct {
	Kernel   Kernel
	Observer Observer
	Log      *slog.Logger
	// Record is the path of the file that says which services are ours. Its
	// directory must exist.
	Record string
	// Epoch names the life of the kernel's table. A record from another epoch is
	// not believed: the services it names are gone, and who made their namesakes
	// is not known.
	Epoch string
}

// Wanted is what is configured.
type Wanted struct {
	// Services are the virtual servers by name. No two have the same key.
	Services map[string]pool.Config
	// Interval is the time between two comparisons with the kernel; 0 means 5 s.
	Interval time.Duration
}

const (
	defaultInterval = 5 * time.Second
	// firstRetry is the delay after a first error. It doubles with every error
	// that follows, up to the interval.
	firstRetry = 100 * time.Millisecond
	// compareShare is the part of the interval that reading destinations may
	// take: one per cent. Of a table so big that this is not enough, every
	// comparison looks at all services, but only at the destinations of as many
	// as the time allows, and the next one at those that follow. A service that
	// we know to be other than wanted is always looked at.
	compareShare = 100
)

// Balancer drives the virtual servers of one daemon. Make it with New and let it
// Run; the other methods may be called from any goroutine.
type Balancer struct {
	config Config
	mail   mailbox

	// What follows belongs to Run's goroutine.
	interval time.Duration
	services map[string]*service
	keys     map[ipvs.ServiceKey]*service // the same services by key
	changed  map[*service]struct{}        // those whose pool has given out another table
	waiting  map[*service]struct{}        // those whose pool has a deadline
	record   record
	// configured says that there has been a configuration. Before, everything
	// that an earlier run has left looks like something nobody wants.
	configured bool

	nextSync time.Time     // when the table is compared again
	round    uint64        // of looking at all destinations, see compareShare
	retry    time.Duration // the last delay after an error; 0 after a success
	status   status
	drift    driftLog

	// Kept for their memory.
	letters   []delivery
	unsettled []*service // whose pool has absorbed results that change something
	actions   []pool.Action
	ops       []ipvs.Op
}

// New returns a Balancer that knows no service yet.
func New(c Config) *Balancer {
	return &Balancer{
		config:   c,
		mail:     mailbox{wake: make(chan struct{}, 1), room: mailRoom},
		interval: defaultInterval,
		round:    1,
		services: map[string]*service{},
		keys:     map[ipvs.ServiceKey]*service{},
		changed:  map[*service]struct{}{},
		waiting:  map[*service]struct{}{},
	}
}

// Apply replaces the configuration. It returns at once; of several that come
// before one is taken up, the last counts. Services that do not differ are not
// touched.
func (b *Balancer) Apply(w Wanted) { b.mail.apply(w) }

// Post hands in the result of a probe of one of service's real servers. It
// returns at once. Results that wait are merged per check, so the memory is
// bounded by the number of checks; what cannot be merged without loss is
// counted in Snapshot.Dropped.
func (b *Balancer) Post(service string, r pool.CheckResult) {
	b.mail.post(service, letter{result: r})
}

// PostLoss hands in that a check of one of service's real servers is not made
// any more because its plugin is away. The next result ends that.
func (b *Balancer) PostLoss(service string, l pool.PluginLost) {
	b.mail.post(service, letter{result: pool.CheckResult{Server: l.Server, Check: l.Check}, lost: true})
}

// Run works until ctx ends. Then it removes the services that are ours from the
// kernel and returns what went wrong with that, or nil.
func (b *Balancer) Run(ctx context.Context) error {
	b.loadRecord()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			b.mail.close()
			return b.withdraw()
		case <-b.mail.wake:
		case <-timer.C:
		}
		b.takeMail()
		b.reachDeadlines()
		b.sync(ctx)
		timer.Reset(b.nextWake())
	}
}

// nextWake is the time until something is due by itself.
func (b *Balancer) nextWake() time.Duration {
	next := time.Now().Add(time.Hour)
	if b.configured && b.inUse() {
		next = b.nextSync
	}
	for s := range b.waiting {
		if s.deadline.Before(next) {
			next = s.deadline
		}
	}
	return max(time.Until(next), 0)
}

// inUse reports whether there is any reason to look at the kernel. Without a
// service, configured or left behind, a machine needs no IPVS at all.
func (b *Balancer) inUse() bool {
	return len(b.services) > 0 || len(b.record.owned) > 0
}
