package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/journal"
)

func event(n int) journal.Event {
	return journal.Event{Kind: journal.State, Object: journal.Object{Type: journal.Instance, Name: "VI_" + strconv.Itoa(n)}, To: "active"}
}

func numbers(e control.Events) (list []uint64) {
	for _, x := range e.Events {
		list = append(list, x.Number)
	}
	return list
}

func TestEvents(t *testing.T) {
	j := journal.New(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 4)
	c := control.NewClient(serve(t, &fakeBackend{events: j}))
	ask := func(after string) control.Events {
		t.Helper()
		e, err := c.Events(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		if e.Schema != control.Schema || !e.Started.Equal(j.Started()) || e.Events == nil {
			t.Errorf("%+v", e)
		}
		return e
	}
	if e := ask(""); len(e.Events) != 0 || e.Last != 0 {
		t.Errorf("before the first: %+v", e)
	}
	for i := range 6 {
		j.Record(event(i + 1))
	}
	if e := ask(""); e.Lost != 2 || e.Last != 6 || !slices.Equal(numbers(e), []uint64{3, 4, 5, 6}) || e.Events[0].Name != "VI_3" {
		t.Errorf("all: %+v", e)
	}
	if e := ask("4"); e.Lost != 0 || !slices.Equal(numbers(e), []uint64{5, 6}) {
		t.Errorf("behind 4: %+v", e)
	}
	for _, after := range []string{"now", "6", "99"} {
		if e := ask(after); e.Lost != 0 || len(e.Events) != 0 || e.Last != 6 {
			t.Errorf("behind %s: %+v", after, e)
		}
	}
	for _, after := range []string{"-1", "yesterday", "1.5", "99999999999999999999999"} {
		if _, err := c.Events(t.Context(), after); err == nil || !strings.Contains(err.Error(), "want the number of an event, or now") {
			t.Errorf("behind %s: %v", after, err)
		}
	}
}

// However many are kept: one answer has them all, and no gap.
func TestManyEvents(t *testing.T) {
	j := journal.New(time.Now(), journal.Limit)
	c := control.NewClient(serve(t, &fakeBackend{events: j}))
	for i := range journal.Limit + 100 {
		j.Record(event(i + 1))
	}
	stop, recording := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(recording)
		for i := journal.Limit + 100; ; i++ {
			select {
			case <-stop:
				return
			default:
				j.Record(event(i + 1))
			}
		}
	}()
	for range 10 {
		e, err := c.Events(t.Context(), "")
		if err != nil || len(e.Events) == 0 || e.Lost < 100 || e.Events[0].Number != e.Lost+1 {
			t.Fatalf("%v: %d events, %d lost", err, len(e.Events), e.Lost)
		}
		for i, x := range e.Events {
			if x.Number != e.Lost+1+uint64(i) {
				t.Fatalf("number %d at place %d", x.Number, i)
			}
		}
	}
	close(stop)
	<-recording
	e, err := c.Events(t.Context(), "")
	if err != nil || len(e.Events) != journal.Limit || e.Events[len(e.Events)-1].Number != e.Last || e.Lost != e.Last-journal.Limit {
		t.Errorf("%v: %d events up to %d, %d lost", err, len(e.Events), e.Last, e.Lost)
	}
}

// A follower gets what is kept, what happens, and the end; each event once.
func TestFollow(t *testing.T) {
	j := journal.New(time.Now(), 1000)
	c := control.NewClient(serve(t, &fakeBackend{events: j}))
	for i := range 300 { // More than is written at once.
		j.Record(event(i + 1))
	}
	var got []uint64
	err := c.Follow(t.Context(), "10", func(e control.Events) error {
		got = append(got, numbers(e)...)
		if e.Lost != 0 {
			t.Errorf("%d lost", e.Lost)
		}
		switch len(got) {
		case 290:
			j.Record(event(301))
		case 291:
			j.Record(event(302))
			j.Close()
		}
		return nil
	})
	if err != nil || len(got) != 292 || got[0] != 11 || got[291] != 302 || !slices.IsSorted(got) {
		t.Errorf("%v, %d events up to %v", err, len(got), got[len(got)-1])
	}
	// Behind the end there is the end.
	calls := 0
	if err := c.Follow(t.Context(), "now", func(e control.Events) error { calls++; return nil }); err != nil || calls != 1 {
		t.Errorf("%v, %d documents", err, calls)
	}
}

// Who does not read is told how much he has missed, and nobody has waited for him.
func TestFollowerIsTooSlow(t *testing.T) {
	j := journal.New(time.Now(), 8)
	c := control.NewClient(serve(t, &fakeBackend{events: j}))
	const all = 100_000 // Much more than what lies in buffers on the way.
	var read, lost uint64
	err := c.Follow(t.Context(), "", func(e control.Events) error {
		if read == 0 && lost == 0 && e.Last == 0 {
			for i := range all {
				j.Record(event(i + 1)) // While nobody reads.
			}
			j.Close()
		}
		for i, n := range numbers(e) {
			if n != read+lost+e.Lost+uint64(i)+1 {
				t.Errorf("event %d behind %d and %d lost ones", n, read+lost, e.Lost)
			}
		}
		read, lost = read+uint64(len(e.Events)), lost+e.Lost
		return nil
	})
	if err != nil || read+lost != all || lost == 0 || read < 8 {
		t.Errorf("%v: %d read and %d lost of %d", err, read, lost, all)
	}
}

func TestFollowNobody(t *testing.T) {
	c := control.NewClient(filepath.Join(t.TempDir(), "halo.sock"))
	if err := c.Follow(t.Context(), "", func(control.Events) error { return nil }); !errors.Is(err, control.ErrUnreachable) {
		t.Errorf("without a daemon: %v", err)
	}
	j := journal.New(time.Now(), 8)
	c = control.NewClient(serve(t, &fakeBackend{events: j}))
	if err := c.Follow(t.Context(), "never", func(control.Events) error { return nil }); err == nil || errors.Is(err, control.ErrUnreachable) {
		t.Errorf("with a number that is none: %v", err)
	}
	stop := errors.New("enough")
	if err := c.Follow(t.Context(), "", func(control.Events) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("told to stop: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.Follow(ctx, "", func(control.Events) error { cancel(); return nil }); err == nil {
		t.Error("goes on without a context")
	}
}

// A connection on which nothing happens carries a sign of life.
func TestFollowersHearTheHeart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal.New(time.Now(), 8)
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events?follow", http.NoBody)
		read, write := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			control.Handler(&fakeBackend{events: j}).ServeHTTP(&pipeWriter{PipeWriter: write}, r)
		}()
		start := time.Now()
		for i, dec := 0, json.NewDecoder(read); i < 4; i++ {
			var e control.Events
			if err := dec.Decode(&e); err != nil || len(e.Events) != 0 || e.Schema != control.Schema {
				t.Fatalf("%v, %+v", err, e)
			}
			if at := time.Since(start); at != time.Duration(i)*10*time.Second {
				t.Errorf("sign %d after %v", i, at)
			}
		}
		cancel()
		<-done
	})
}

// pipeWriter is an answer that is read while it is written.
type pipeWriter struct{ *io.PipeWriter }

func (*pipeWriter) Header() http.Header { return http.Header{} }
func (*pipeWriter) WriteHeader(int)     {}
func (*pipeWriter) Flush()              {}

// At the stop of the server a follower who hangs keeps nobody up.
func TestServerStopsUnderFollowers(t *testing.T) {
	j := journal.New(time.Now(), 8)
	path := filepath.Join(t.TempDir(), "halo.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- control.Serve(ctx, l, control.Handler(&fakeBackend{events: j}), slog.New(slog.DiscardHandler))
	}()
	followed := make(chan error, 1)
	begun := make(chan struct{}, 1)
	go func() {
		followed <- control.NewClient(path).Follow(t.Context(), "", func(control.Events) error { begun <- struct{}{}; return nil })
	}()
	<-begun
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
	if err := <-followed; !errors.Is(err, control.ErrUnreachable) {
		t.Errorf("cut off in the middle: %v", err)
	}
}
