package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/halo-ha/halo/core/journal"
)

// Events is the answer of `halo events --json`: all that are kept behind a number.
// With --follow it is one such document a line, each with what has happened since
// the one before.
type Events struct {
	Schema int `json:"schema"`
	// Started is when the daemon was: its numbers begin with 1.
	Started time.Time `json:"started"`
	// Lost is how many events are missing before the first of these: they were
	// not asked for in time.
	Lost uint64 `json:"lost"`
	// Last is the number of the newest event there is.
	Last   uint64          `json:"last"`
	Events []journal.Event `json:"events"`
}

const (
	// batch is how many events are written at once.
	batch = 256
	// heartbeat is how often a follower hears something, were it nothing.
	heartbeat = 10 * time.Second
	// patience is after what silence a follower gives the daemon up.
	patience = 3 * heartbeat
)

// events answers with what the journal holds, and with ?follow goes on until it
// ends. Who reads too slowly is told how much he has missed; nobody waits for him.
func events(j *journal.Journal) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		after, err := number(r.URL.Query().Get("after"), j)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if !r.URL.Query().Has("follow") {
			reply(w, all(j, after))
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		follow(r.Context(), w, j, after)
	}
}

// number reads a number of an event, or that of the newest one from "now".
func number(text string, j *journal.Journal) (uint64, error) {
	switch text {
	case "":
		return 0, nil
	case "now":
		_, last := j.Kept()
		return last, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("after=%q: want the number of an event, or now", text)
	}
	return n, nil
}

func document(j *journal.Journal, p *journal.Page) Events {
	if p.Events == nil {
		p.Events = []journal.Event{}
	}
	return Events{Schema: Schema, Started: j.Started(), Lost: p.Lost, Last: p.Last, Events: p.Events}
}

// all collects what is kept, batch by batch: who records meanwhile never waits for
// longer than one of them takes to copy.
func all(j *journal.Journal, after uint64) Events {
	whole := j.After(after, batch)
	for p := whole; p.Changed == nil && !p.Ended && len(whole.Events) < journal.Limit; {
		p = j.After(whole.Events[len(whole.Events)-1].Number, batch)
		if p.Lost > 0 {
			break // They come faster than they are read. What is there has no gap.
		}
		whole.Events, whole.Last = append(whole.Events, p.Events...), p.Last
	}
	return document(j, &whole)
}

func follow(ctx context.Context, w http.ResponseWriter, j *journal.Journal, after uint64) {
	out, enc := http.NewResponseController(w), json.NewEncoder(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		p := j.After(after, batch)
		after = min(after, p.Last) + p.Lost + uint64(len(p.Events))
		if enc.Encode(document(j, &p)) != nil || out.Flush() != nil || p.Ended {
			return // Nobody is there any more, or there is nothing more to come.
		}
		if p.Changed == nil {
			continue
		}
		select {
		case <-p.Changed:
		case <-beat.C:
		case <-ctx.Done():
			return
		}
	}
}

// Events asks for the events behind a number, or with "now" for none.
func (c *Client) Events(ctx context.Context, after string) (e Events, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/events?after="+after, 5*time.Second, &e)
	return e, err
}

// Follow hands over the events behind a number as they happen, until the daemon
// ends, which is no error, or tell returns one. With "now" it begins with the next
// one. Documents may be empty: they say that there is a daemon.
func (c *Client) Follow(ctx context.Context, after string, tell func(Events) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(patience, func() { cancel(context.DeadlineExceeded) })
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://halo/v1/events?follow&after="+after, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(errors.Join(err, context.Cause(ctx)), patience)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("follow events: %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	for dec := json.NewDecoder(bufio.NewReader(resp.Body)); ; {
		var e Events
		switch err := dec.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.explain(errors.Join(err, context.Cause(ctx)), patience)
		}
		silence.Reset(patience)
		if err := tell(e); err != nil {
			return err
		}
	}
}
