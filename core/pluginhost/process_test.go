package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/sdk/host"
)

func TestProcessRunsAndStops(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		r := newFakeRunning()
		b.start(func(context.Context, int) (*fakeRunning, error) { return r, nil })
		go r.beat(nil)
		r.messages <- &host.Committed{Generation: 1}
		r.messages <- results(3)
		time.Sleep(10 * time.Minute)
		s := b.want(t, StateRunning)
		if s.PID != 1000 || s.Version != "1.2" || s.Protocol != 1 || s.Path != "/p/halo-check-x" || s.RunsAs != "nobody" ||
			s.Restarts != 0 || s.Heartbeat.Done != 7 || time.Since(s.Started) != 10*time.Minute || s.LastError != "" || s.Incarnation != 1 {
			t.Errorf("snapshot: %+v", s)
		}
		if n := strings.Count(b.log.String(), "to=running"); n != 1 {
			t.Errorf("ten minutes of health fill the log with %d lines:\n%s", n, b.log)
		}
		r.endTakes = time.Second
		b.stop(time.Now().Add(2 * time.Second))
		b.want(t, StateStopping)
		<-b.gone
		if len(r.graceful) != 1 || !r.graceful[0] || r.deadline != 2*time.Second {
			t.Errorf("it was ended with graceful %v within %s", r.graceful, r.deadline)
		}
	})
}

func TestProcessTellsTheListenerInOrder(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		runs := []*fakeRunning{newFakeRunning(), newFakeRunning()}
		b.start(func(_ context.Context, n int) (*fakeRunning, error) { return runs[n], nil })
		runs[0].messages <- &host.Committed{}
		runs[0].messages <- &host.Heartbeat{}
		runs[0].messages <- results(1)
		synctest.Wait() // What waits when a process dies may be lost with it.
		runs[0].die()
		time.Sleep(time.Second)
		runs[1].messages <- &host.Committed{}
		synctest.Wait()
		b.stop(time.Now().Add(time.Second))
		<-b.gone
		want := "opened 1\ncommitted of 1\nresults of 1\nlost 1: the process ended\n" +
			"opened 2\ncommitted of 2\nlost 2: stopped on request"
		if got := b.told.all(); got != want {
			t.Errorf("the listener heard\n%s\nwant\n%s", got, want)
		}
	})
}

func TestProcessIsStartedAgainAfterACrash(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		var last *fakeRunning
		b.start(func(context.Context, int) (*fakeRunning, error) {
			last = newFakeRunning()
			return last, nil
		})
		synctest.Wait()
		died := time.Now()
		last.die()
		s := b.want(t, StateBackoff)
		if s.LastError != "exited with status 2: panic: x" || len(s.LastWords) != 1 || s.PID != 0 || !s.Started.IsZero() {
			t.Errorf("after the crash: %+v", s)
		}
		time.Sleep(time.Second)
		s = b.want(t, StateRunning)
		if s.Restarts != 1 || s.PID != 1001 || s.Incarnation != 2 {
			t.Errorf("after the restart: %+v", s)
		}
		if s.LastError == "" {
			t.Error("why it crashed is forgotten")
		}
		if again := b.launcher.starts[1].Sub(died); !within(again, firstDelay) {
			t.Errorf("started again after %s, want %s give or take a fifth", again, firstDelay)
		}
	})
}

// Every change of state is told, each from where the one before has led.
func TestProcessTellsOfItsStates(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		var told []string
		b.changed = func(id Identity, from, to State, cause string) {
			told = append(told, strings.TrimSpace(fmt.Sprintf("%s: %s>%s %s", id, from, to, cause)))
		}
		var last *fakeRunning
		b.start(func(context.Context, int) (*fakeRunning, error) {
			last = newFakeRunning()
			return last, nil
		})
		synctest.Wait()
		last.die()
		time.Sleep(time.Second)
		b.want(t, StateRunning)
		want := []string{
			"halo-check-x as nobody: starting>running",
			"halo-check-x as nobody: running>backoff exited with status 2: panic: x",
			"halo-check-x as nobody: backoff>starting",
			"halo-check-x as nobody: starting>running",
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q", told)
		}
	})
}

func TestProcessThatDiesAtOnceIsStartedRarelyAndThenEveryFiveMinutes(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		b.start(func(context.Context, int) (*fakeRunning, error) {
			r := newFakeRunning()
			r.die()
			return r, nil
		})
		time.Sleep(time.Minute)
		if n := b.launcher.count(); n >= 20 || n < 5 {
			t.Errorf("%d starts in the first minute", n)
		}
		time.Sleep(4 * time.Minute)
		s := b.want(t, StateFailed)
		if s.LastError != "exited with status 2: panic: x" {
			t.Errorf("last error: %s", s.LastError)
		}
		before := b.launcher.count()
		if before != breakerFailures {
			t.Errorf("the breaker opened after %d starts, want %d", before, breakerFailures)
		}
		time.Sleep(time.Hour)
		if n := b.launcher.count() - before; n < 9 || n > 16 {
			t.Errorf("%d starts in the next hour, want one every five minutes", n)
		}
		if n := strings.Count(b.log.String(), "level=ERROR"); n > 20 {
			t.Errorf("an hour of failure fills the log with %d errors", n)
		}
	})
}

func TestProcessHealthyForAMinuteStartsAfresh(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		b.start(func(context.Context, int) (*fakeRunning, error) {
			r := newFakeRunning()
			go r.beat(nil)
			time.AfterFunc(healthyAfter+time.Second, r.die)
			return r, nil
		})
		time.Sleep(time.Hour)
		b.want(t, StateRunning)
		for i := 1; i < len(b.launcher.starts); i++ {
			if gap := b.launcher.starts[i].Sub(b.launcher.starts[i-1]) - healthyAfter - time.Second; !within(gap, firstDelay) {
				t.Fatalf("start %d came %s after the crash before it", i, gap)
			}
		}
	})
}

// R35: a process that stops answering is shown as unresponsive, then killed
// and started again.
func TestProcessWithoutHeartbeatIsKilled(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		hung := newFakeRunning()
		hung.ending = ending{how: killedBySignal}
		stop := make(chan struct{})
		b.start(func(_ context.Context, n int) (*fakeRunning, error) {
			r := hung
			if n > 0 {
				r = newFakeRunning()
				go r.beat(nil)
			} else {
				go r.beat(stop)
			}
			return r, nil
		})
		time.Sleep(10*time.Second + time.Millisecond)
		close(stop)
		b.want(t, StateRunning)
		time.Sleep(suspectAfter)
		b.want(t, StateUnresponsive)
		if strings.Contains(b.told.all(), "lost") {
			t.Error("the session counts as lost already")
		}
		time.Sleep(lostAfter - suspectAfter)
		s := b.want(t, StateBackoff)
		if want := "unresponsive: no heartbeat for 3.5s (killed by SIGKILL)"; s.LastError != want {
			t.Errorf("last error is %q, want %q", s.LastError, want)
		}
		if len(hung.graceful) != 1 || hung.graceful[0] {
			t.Errorf("it was ended gracefully: %v", hung.graceful)
		}
		if want := "lost 1: unresponsive: no heartbeat for 3.5s"; !strings.HasSuffix(b.told.all(), want) {
			t.Errorf("the listener heard %s", b.told.all())
		}
		time.Sleep(time.Minute)
		b.want(t, StateRunning)
	})
}

func TestProcessRecoversFromOneMissingHeartbeat(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		r := newFakeRunning()
		b.start(func(context.Context, int) (*fakeRunning, error) { return r, nil })
		time.Sleep(3 * time.Second)
		b.want(t, StateUnresponsive)
		r.messages <- &host.Heartbeat{}
		b.want(t, StateRunning)
	})
}

func TestProcessThatFloodsIsKilled(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		flooding := newFakeRunning()
		b.start(func(_ context.Context, n int) (*fakeRunning, error) {
			if n > 0 {
				return newFakeRunning(), nil
			}
			return flooding, nil
		})
		for {
			select {
			case flooding.messages <- results(1000):
				continue
			case <-flooding.dead:
			}
			break
		}
		s := b.want(t, StateBackoff)
		if !strings.HasPrefix(s.LastError, "it sent more than 10 times the results that its 0 probes can produce") {
			t.Errorf("last error: %s", s.LastError)
		}
		if n := strings.Count(b.told.all(), "results"); n > floodFloor*floodBurst/1000 {
			t.Errorf("%d batches of 1,000 were passed on", n)
		}
	})
}

func TestProcessRestartsOnRequest(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		b.start(func(context.Context, int) (*fakeRunning, error) {
			r := newFakeRunning()
			go r.beat(nil)
			return r, nil
		})
		time.Sleep(time.Second)
		for range 5 {
			b.restart() // five wishes at once are one
		}
		time.Sleep(time.Second)
		s := b.want(t, StateRunning)
		if n := b.launcher.count(); n != 2 || s.Restarts != 1 || s.LastError != "" {
			t.Errorf("%d starts, %d restarts, last error %q; want 2, 1, none", n, s.Restarts, s.LastError)
		}
	})
}

func TestProcessUpdateTakesTheNewSpec(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		b.start(func(context.Context, int) (*fakeRunning, error) {
			r := newFakeRunning()
			go r.beat(nil)
			return r, nil
		})
		synctest.Wait()
		b.update(Spec{Identity: b.id, SHA256: "new"})
		synctest.Wait()
		if n := len(b.launcher.specs); n != 2 || b.launcher.specs[1].SHA256 != "new" {
			t.Errorf("started with %+v", b.launcher.specs)
		}
	})
}

func TestRestartEndsABackoffAndABreaker(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		b.start(func(context.Context, int) (*fakeRunning, error) {
			return nil, errors.New("no luck")
		})
		time.Sleep(10 * time.Minute)
		b.want(t, StateFailed)
		before := b.launcher.count()
		b.restart()
		synctest.Wait()
		if n := b.launcher.count(); n != before+1 {
			t.Fatalf("%d starts on request, want 1", n-before)
		}
		b.want(t, StateBackoff)
	})
}

// A refused plugin is looked at again only when something changed.
func TestRefusedProcessWaitsForAChange(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		b.start(func(_ context.Context, n int) (*fakeRunning, error) {
			if n == 0 {
				return nil, &permanentError{errors.New("refuse plugin /p: writable by others")}
			}
			r := newFakeRunning()
			go r.beat(nil)
			return r, nil
		})
		time.Sleep(time.Hour)
		s := b.want(t, StateRefused)
		if n := b.launcher.count(); n != 1 || s.LastError != "refuse plugin /p: writable by others" {
			t.Errorf("%d starts in an hour, last error %q", n, s.LastError)
		}
		b.launcher.change("chmod was here")
		time.Sleep(lookAgain)
		b.want(t, StateRunning)
	})
}

// A wrapped permanent error is permanent, and the last words of a failed start are kept.
func TestFailedStartKeepsItsWords(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		b.start(func(_ context.Context, n int) (*fakeRunning, error) {
			if n == 0 {
				return nil, &launchError{error: errors.New("exited"), words: []string{"one", "two"}}
			}
			return nil, fmt.Errorf("start: %w", &permanentError{errors.New("exec format error")})
		})
		if s := b.want(t, StateBackoff); len(s.LastWords) != 2 {
			t.Errorf("last words: %q", s.LastWords)
		}
		time.Sleep(time.Second)
		b.want(t, StateRefused)
	})
}

func TestProcessStopsWhileStarting(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		b.start(func(ctx context.Context, _ int) (*fakeRunning, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		b.want(t, StateStarting)
		b.stop(time.Now())
		<-b.gone
		if b.told.all() != "" {
			t.Errorf("the listener heard %s", b.told.all())
		}
	})
}

func TestProcessStopsWhileWaiting(t *testing.T) {
	supervised(t, func(t *testing.T, b *bench) {
		b.start(func(context.Context, int) (*fakeRunning, error) { return nil, errors.New("no luck") })
		time.Sleep(20 * time.Second)
		b.want(t, StateBackoff)
		before := time.Now()
		b.stop(before.Add(time.Second))
		<-b.gone
		if took := time.Since(before); took != 0 {
			t.Errorf("it took %s to stop what does not run", took)
		}
	})
}

func TestSessionLossCountsAsDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := &brokenStream{fakeRunning: newFakeRunning()}
		broken.ending = ending{how: killedBySignal}
		l := &brokenLauncher{first: broken}
		p := newProcess(Spec{Identity: Identity{Plugin: "halo-check-x"}}, l, &told{}, slog.New(slog.DiscardHandler), func() uint64 { return 1 }, rand.New(rand.NewPCG(1, 1)))
		go p.supervise()
		time.Sleep(streamGrace)
		synctest.Wait()
		if s := p.snapshot(); s.State != StateBackoff || s.LastError != "session lost: the stream broke (killed by SIGKILL)" {
			t.Errorf("state %s, last error %q", s.State, s.LastError)
		}
		if len(broken.graceful) != 1 || broken.graceful[0] {
			t.Errorf("the process was left alive, or ended gracefully: %v", broken.graceful)
		}
		p.stop(time.Now())
		<-p.gone
	})
}

type brokenStream struct{ *fakeRunning }

func (*brokenStream) Recv() (host.Message, error) { return nil, errors.New("the stream broke") }

type brokenLauncher struct{ first *brokenStream }

func (l *brokenLauncher) launch(context.Context, Spec, uint64) (*launched, error) {
	return &launched{session: l.first, running: l.first}, nil
}

func (*brokenLauncher) fingerprint(Spec) string { return "" }
