package rtnl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// One goroutine (run) reads the notifications, and everybody else the views it
// publishes:
//
//	kernel --notifications--> socket --> follower --publish--> View --> Subscription
//	kernel <------dump when in doubt--------+                    \----> Subscription
//
// The kernel drops notifications when the socket's queue is full and says so
// with ENOBUFS, once. What is known is then behind in an unknown way until a
// full dump, which may itself be interrupted by changes, has replaced it.

// Times of a feed. A resync after lost notifications follows at once; while
// the storm goes on they are spaced out, from resyncPause to resyncPauseMax.
const (
	auditInterval  = 30 * time.Second
	resyncPause    = 10 * time.Millisecond
	resyncPauseMax = 500 * time.Millisecond
	// calm is how long no notification may be lost for the next loss to count
	// as an overrun of its own.
	calm = time.Second
	// breath is the least time between two publications. A change that comes
	// alone is published at once; of hundreds that somebody makes together each
	// publication would copy what the next one changes.
	breath = 5 * time.Millisecond
	// costFactor is how many times as long as a dump took nothing is dumped
	// again because of a mere doubt, so that long tables do not cost a
	// processor.
	costFactor = 10
)

// receiveBuffer is the size of the notification queue: some 10,000 changes.
const receiveBuffer = 8 << 20

// drainLimit is how many datagrams are read between two publications.
const drainLimit = 512

// follower is what a feed keeps up to date. All methods are called from the
// goroutine of run.
type follower interface {
	// apply works one notification in.
	apply(netlink.Header, []byte) error
	// resync replaces everything by a fresh dump. Notifications that were sent
	// before the dump and are read after it do no lasting harm: the last one of
	// every object is true.
	resync(*socket) error
	// overrun notes that notifications were lost.
	overrun()
	// doubtful tells whether a notification made a dump necessary.
	doubtful() bool
	// publish makes visible what has changed.
	publish()
}

// feed reads notifications, and dumps when in doubt.
type feed struct {
	what     string // for messages
	events   *socket
	requests *socket
	audit    time.Duration
	lastLoss time.Time
}

// newFeed hears the given groups in the calling thread's namespace.
func newFeed(what string, buffer int, groups ...uint32) (feed, error) {
	events, err := dial(groups...)
	if err != nil {
		return feed{}, fmt.Errorf("watch %s: %w", what, err)
	}
	// Without CAP_NET_ADMIN the system's limit bounds the buffer, which only
	// makes overruns likelier.
	_ = events.conn.SetReadBuffer(buffer)
	requests, err := dial()
	if err != nil {
		_ = events.close()
		return feed{}, fmt.Errorf("watch %s: %w", what, err)
	}
	return feed{what: what, events: events, requests: requests, audit: auditInterval}, nil
}

// run follows the kernel until ctx ends, and then returns nil. It survives
// lost notifications and interrupted dumps; it returns an error only when the
// socket itself is beyond use.
func (f *feed) run(ctx context.Context, to follower) error {
	defer func() {
		_ = f.events.close()
		_ = f.requests.close()
	}()
	stop := context.AfterFunc(ctx, func() {
		_ = f.events.conn.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()

	pause := resyncPause
	var next time.Time  // when to dump at the latest
	var quiet time.Time // no dump because of a mere doubt before
	var published time.Time
	for {
		if now := time.Now(); !now.Before(next) {
			err := to.resync(f.requests)
			done := time.Now()
			quiet = done.Add(max(resyncPause, costFactor*done.Sub(now)))
			if err == nil {
				next = now.Add(f.audit)
				if now.Sub(f.lastLoss) >= calm {
					pause = resyncPause
				} else {
					// What was lost during a long dump belongs to the loss
					// that caused it.
					f.lastLoss = done
				}
			} else {
				next = now.Add(pause)
				pause = min(2*pause, resyncPauseMax)
			}
			to.publish()
		}
		if err := f.events.conn.SetReadDeadline(next); err != nil {
			return f.fail(ctx, err)
		}
		// Only after setting the deadline: it may have undone the one that
		// the end of ctx sets.
		if ctx.Err() != nil {
			break
		}
		time.Sleep(time.Until(published.Add(breath)))
		err := f.events.drain(drainLimit, to.apply)
		switch {
		case err == nil:
		case errors.Is(err, unix.ENOBUFS):
			next = f.lost(to, &pause)
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADF):
			return f.fail(ctx, err)
		default:
			// Unreadable, or short of memory: doubt what we have.
			next = time.Now().Add(pause)
			pause = min(2*pause, resyncPauseMax)
		}
		if to.doubtful() && quiet.Before(next) {
			next = quiet
		}
		to.publish()
		published = time.Now()
	}
	return nil
}

// lost notes lost notifications and says when to dump: at once the first
// time, spaced out while it goes on.
func (f *feed) lost(to follower, pause *time.Duration) (next time.Time) {
	now := time.Now()
	if now.Sub(f.lastLoss) >= calm {
		to.overrun()
		next = now
		*pause = resyncPause
	} else {
		next = now.Add(*pause)
		*pause = min(2*(*pause), resyncPauseMax)
	}
	f.lastLoss = now
	return next
}

// fail is an error that ends run, unless the end was asked for.
func (f *feed) fail(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return fmt.Errorf("watch %s: %w", f.what, err)
	}
	return nil
}
