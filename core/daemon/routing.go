package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// routingWatch tells of the routes and rules that instances have. While none has
// any, nobody listens: on a router with the whole Internet's routes, every one
// that comes and goes would wake halo.
type routingWatch struct {
	told   func(*rtnl.RoutingView)
	logger *slog.Logger
	// wake has a value when there may be something else to watch.
	wake chan struct{}

	mu     sync.Mutex
	wanted marks
	failed error // why nobody watches what is wanted
}

// marks are whose routes and rules are watched: with anything, halo's own and
// those of others.
type marks struct {
	anything bool
	others   []inet.Protocol // sorted
}

func (m *marks) equal(other marks) bool {
	return m.anything == other.anything && slices.Equal(m.others, other.others)
}

// add notes the mark of a route or rule that is wanted.
func (m *marks) add(p inet.Protocol) {
	m.anything = true
	if at, found := slices.BinarySearch(m.others, p); !found && p != inet.ProtocolNone {
		m.others = slices.Insert(m.others, at, p)
	}
}

// reopenPause is how long it takes to try again where nobody could be found to
// watch.
const reopenPause = time.Second

func newRoutingWatch(told func(*rtnl.RoutingView), logger *slog.Logger) *routingWatch {
	return &routingWatch{told: told, logger: logger, wake: make(chan struct{}, 1)}
}

// set says what is to be watched.
func (w *routingWatch) set(wanted marks) {
	w.mu.Lock()
	w.wanted = wanted
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// failure is why changes of routes and rules go unnoticed, nil when they do not.
func (w *routingWatch) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// run watches until ctx ends.
func (w *routingWatch) run(ctx context.Context) error {
	var current marks
	stop := func() {}
	defer func() { stop() }()
	broken := make(chan error, 1)
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return err
		case <-w.wake:
		case <-again.C:
		}
		w.mu.Lock()
		wanted := w.wanted
		w.mu.Unlock()
		if wanted.equal(current) {
			continue
		}
		next, err := openRouting(wanted)
		w.tell(err)
		if err != nil {
			again.Reset(reopenPause)
			continue
		}
		// The new one has heard everything since it was opened.
		stop()
		current, stop = wanted, w.follow(ctx, next, broken)
	}
}

// openRouting prepares a monitor, nil where there is nothing to watch.
func openRouting(wanted marks) (*rtnl.RoutingMonitor, error) {
	if !wanted.anything {
		return nil, nil
	}
	return rtnl.WatchRouting(wanted.others...)
}

// tell notes how opening went, and says so once.
func (w *routingWatch) tell(err error) {
	w.mu.Lock()
	before := w.failed
	w.failed = err
	w.mu.Unlock()
	if err != nil && before == nil {
		w.logger.Error("nobody watches routes and rules", "error", err)
	}
}

// follow runs a monitor and hands on what it shows, until stop is called and has
// returned.
func (w *routingWatch) follow(ctx context.Context, m *rtnl.RoutingMonitor, broken chan<- error) (stop func()) {
	if m == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	changes := m.Subscribe()
	var ending sync.WaitGroup
	ending.Go(func() {
		if err := m.Run(ctx); err != nil && ctx.Err() == nil {
			select {
			case broken <- fmt.Errorf("routing monitor: %w", err):
			default: // The first reason is enough.
			}
		}
	})
	ending.Go(func() {
		defer changes.Close()
		var overruns uint64
		for {
			select {
			case <-ctx.Done():
				return
			case <-changes.Changed():
			}
			view, _ := changes.Next()
			if view.Overruns > overruns {
				overruns = view.Overruns
				w.logger.Warn("notifications of the kernel were lost; its routes and rules were read anew", "overruns", overruns)
			}
			w.told(view)
		}
	})
	return func() { cancel(); ending.Wait() }
}
