package pluginhost

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/schema"
)

// The steps of a kind end, each cut short by the context of End.
const (
	drainTimeout    = time.Second
	lifelineTimeout = 600 * time.Millisecond
	termTimeout     = 200 * time.Millisecond
	sessionTimeout  = 5 * time.Second
)

// instance is one started plugin process with go-plugin's client for it. A
// new start is a new instance: neither is ever used twice.
type instance struct {
	runner *childRunner
	client *plugin.Client
	remote *host.Client
	// stream is nil until open.
	stream      *host.Session
	description schema.Plugin
	// later runs a function that may take long without anybody waiting for it
	// but the Host when it closes.
	later func(func())
	once  sync.Once
}

// open opens the session. It lasts until close.
func (i *instance) open(ctx context.Context, incarnation uint64) error {
	// The stream must outlive ctx, which is only that of the start.
	stream, err := i.remote.Session(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	i.stream = stream
	return stream.Begin(incarnation)
}

// Recv returns the next message of the session.
func (i *instance) Recv() (host.Message, error) { return i.stream.Recv() }

// Dead is closed when the process has ended and its relatives with it.
func (i *instance) Dead() <-chan struct{} { return i.runner.child.dead }

// End ends the process. go-plugin's own Kill can block for ever on a process
// that is stopped, so it comes last, when there is nothing left to kill.
//
// The kind way asks for what is under way to be finished, then lets go of the
// session and the lifeline, then sends TERM, then KILL. Signals go to the whole
// process group.
func (i *instance) End(ctx context.Context, graceful bool) ending {
	k := i.runner.child
	if graceful {
		i.drain(ctx)
	}
	if i.stream != nil {
		i.stream.Close()
	}
	if graceful {
		k.release()
		if !await(ctx, k.dead, lifelineTimeout) {
			k.signal(unix.SIGTERM)
			await(ctx, k.dead, termTimeout)
		}
	}
	k.signal(unix.SIGKILL)
	if !await(context.WithoutCancel(ctx), k.dead, endTimeout) {
		i.bury()
		return ending{how: "still there after SIGKILL", cause: i.runner.words.summary(), words: i.runner.words.all()}
	}
	_ = removeSockets(i.runner.socketDir)
	// What it wrote last is read within drainOutput of its end.
	<-i.runner.said
	i.bury()
	return ending{how: k.exit(), cause: i.runner.words.summary(), words: i.runner.words.all()}
}

// drain asks the plugin to finish. Whether it did makes no difference to what follows.
func (i *instance) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	_ = i.remote.Drain(ctx)
}

// bury removes what is left of the process: go-plugin's goroutines and the
// socket directory, which it leaves behind for every plugin that did not end
// by itself.
func (i *instance) bury() {
	i.once.Do(func() {
		i.later(func() {
			i.client.Kill()
			_ = removeSockets(i.runner.socketDir)
		})
	})
}

// await waits for done, for at most d and no longer than ctx. It reports
// whether it is done.
func await(ctx context.Context, done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return isClosed(done)
}

// isClosed reports whether done is closed.
func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// lineWriter cuts what go-plugin passes on of a plugin's redirected output
// into lines for the log.
type lineWriter struct {
	log    *pluginLog
	stream string
	line   []byte
	cut    bool
}

// Write never fails and never waits: what is too much is thrown away.
func (w *lineWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		piece := b
		if end >= 0 {
			piece = b[:end]
		}
		if room := longestLine - len(w.line); len(piece) > room {
			piece, w.cut = piece[:room], true
		}
		w.line = append(w.line, piece...)
		if end < 0 {
			break
		}
		w.log.write(context.Background(), parseEntry(w.line), w.stream, w.cut)
		w.line, w.cut = w.line[:0], false
		b = b[end+1:]
	}
	return n, nil
}
