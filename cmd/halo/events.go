package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/halo-ha/halo/core/control"
)

func eventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what has happened, and go on showing it",
		Long: `Shows the events of a running daemon, each with its number: virtual routers and
sync groups that changed their state and why, effective priorities, what a reload
has taken out, disagreements with peers, addresses that others claim or have
removed, real servers, virtual servers, trackers, plugins, reloads, start and
stop. The daemon keeps the last 4096 in memory. The order of events of one object
is the order in which they happened.

With --json the answer is a document: {"schema": 1, "started", "lost", "last",
"events": [...]}. With --follow it is one such document a line, each with what has
happened since. Every event has "number", "time", "kind" (state, fault, priority,
removed, mismatch, conflict, drift, reload), "type" and "name" of the object; and
where there is something to say "of" (the virtual server of a real server, the
account of a plugin), "from", "to", "reason", "detail", "faults", "priority",
"peer", "weight", "in_service". "lost" is how many events are missing before the
first one, because they were not read in time. Numbers begin with 1 when the
daemon starts: "started" tells one start from the next.

--follow goes on when the daemon is started again, and then shows its events from
the first one.

Exit status: 0 answered, 4 daemon not reachable.`,
		Example: `  halo events
  halo events --follow
  halo events --since 1042
  halo events --follow --since now --json | jq -c '.events[] | select(.kind == "state")'`,
		Args: exactly(0, "no argument"),
	}
	socket := socketFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON (schema 1, stable)")
	follow := cmd.Flags().BoolP("follow", "f", false, "go on with what happens until interrupted")
	since := cmd.Flags().String("since", "", `show only what is behind the event of this number, or behind "now" (default all that is kept)`)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := strconv.ParseUint(*since, 10, 64); err != nil && *since != "" && *since != "now" {
			return usageError{fmt.Errorf("--since %s: want the number of an event, or now", *since)}
		}
		f := follower{client: control.NewClient(*socket), out: cmd.OutOrStdout(), errors: cmd.ErrOrStderr(), asJSON: *asJSON, after: *since}
		if *follow {
			return f.run(cmd.Context())
		}
		e, err := f.client.Events(cmd.Context(), *since)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(f.out, e)
		}
		return printEvents(f.out, e)
	}
	return cmd
}

// follower shows events for as long as somebody looks.
type follower struct {
	client      *control.Client
	out, errors io.Writer
	asJSON      bool
	// after is behind which event to go on, of the daemon that was started then;
	// zero before one was heard of.
	after   string
	started time.Time
}

// again is how long to wait for a daemon that has gone away.
const again = time.Second

// errAnew says that another daemon answers than the one before.
var errAnew = errors.New("the daemon was started again")

// run ends with ctx, or when there was no daemon from the beginning.
func (f *follower) run(ctx context.Context) error {
	away := false
	for {
		err := f.client.Follow(ctx, f.after, func(e control.Events) error {
			// One that is about to end still answers, and has nothing to say.
			away = away && len(e.Events) == 0 && e.Started.Equal(f.started)
			return f.show(e)
		})
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // Being interrupted is how this ends.
		case errors.Is(err, errAnew):
			continue
		case err != nil && (!errors.Is(err, control.ErrUnreachable) || f.started.IsZero()):
			return err
		case !away:
			away = true
			fmt.Fprintln(f.errors, "halo: the daemon is gone; waiting for it to come back")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again):
		}
	}
}

// show prints one document and remembers where to go on.
func (f *follower) show(e control.Events) error {
	if !f.started.IsZero() && !e.Started.Equal(f.started) {
		// Its numbers begin anew, and so do we.
		f.started, f.after = e.Started, ""
		return errAnew
	}
	f.started = e.Started
	if n := len(e.Events); n > 0 {
		f.after = strconv.FormatUint(e.Events[n-1].Number, 10)
	} else if f.after == "" || f.after == "now" {
		f.after = strconv.FormatUint(e.Last, 10)
	}
	if len(e.Events) == 0 && e.Lost == 0 {
		return nil // It is still there, that is all.
	}
	if f.asJSON {
		return json.NewEncoder(f.out).Encode(e)
	}
	return printEvents(f.out, e)
}

func printEvents(w io.Writer, e control.Events) error {
	p := &printer{w: w}
	if e.Lost > 0 {
		p.line("! %d events are missing here: they were not read in time", e.Lost)
	}
	for _, event := range e.Events {
		p.line("%d  %s  %s", event.Number, event.Time.Local().Format("2006-01-02 15:04:05.000"), event)
	}
	return p.err
}
