// Package logline writes a plugin's log as the lines of JSON that go-plugin's
// host reads from standard error.
//
// A plugin's log must never hold up a probe and a line must never be cut in
// two: lines wait in a bounded queue for one goroutine that writes, those that
// find it full are counted and dropped, and every line stays below the 64 KiB
// at which the host stops parsing. Read Writer first, then New in handler.go.
package logline

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"sync/atomic"
	"time"
)

const (
	// MaxLine is the longest line that is written, well below go-plugin's 64 KiB.
	MaxLine = 60 << 10
	// queued is how many lines may wait: at 200 bytes a line, what a full pipe
	// holds.
	queued = 256
)

// Writer takes one whole line a call and writes it in the background. It is
// safe for concurrent use and never blocks.
type Writer struct {
	lines   chan []byte
	dropped atomic.Int64
	flush   chan chan struct{}
}

// NewWriter returns a Writer whose lines wait for Run.
func NewWriter() *Writer {
	return &Writer{lines: make(chan []byte, queued), flush: make(chan chan struct{})}
}

// Write queues a line, or drops it when the queue is full. It always reports
// success: there is nobody to tell.
func (w *Writer) Write(line []byte) (int, error) {
	kept := bytes.Clone(line)
	if len(kept) > MaxLine {
		kept = cut(line)
	}
	select {
	case w.lines <- kept:
	default:
		w.dropped.Add(1)
	}
	return len(line), nil
}

// Flush waits until what was queued before is written, but not longer than
// limit.
func (w *Writer) Flush(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	written := make(chan struct{})
	select {
	case w.flush <- written:
	case <-timer.C:
		return
	}
	select {
	case <-written:
	case <-timer.C:
	}
}

// Dropped counts the lines that found the queue full and are not reported yet.
func (w *Writer) Dropped() int64 { return w.dropped.Load() }

// Run writes what is queued to out until ctx ends.
func (w *Writer) Run(ctx context.Context, out io.Writer) {
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-w.lines:
			w.write(out, line)
		case written := <-w.flush:
			for len(w.lines) > 0 {
				w.write(out, <-w.lines)
			}
			close(written)
		}
	}
}

// write ignores errors: standard error is where they would go.
func (w *Writer) write(out io.Writer, line []byte) {
	_, _ = out.Write(line)
	if n := w.dropped.Swap(0); n > 0 {
		_, _ = out.Write(encode("warn", "log lines dropped: standard error is not read fast enough", map[string]any{"lines": n}))
	}
}

// cut replaces a line that is too long by one that says so and how it began.
func cut(line []byte) []byte {
	const shown = 1024
	return encode("warn", "log line too long", map[string]any{"bytes": len(line), "begin": string(bytes.ToValidUTF8(line[:shown], []byte("?")))})
}

func encode(level, message string, fields map[string]any) []byte {
	fields["@level"], fields["@message"] = level, message
	fields["@timestamp"] = time.Now().Format(timeFormat)
	line, err := json.Marshal(fields)
	if err != nil { // Strings and numbers always have a JSON form.
		return nil
	}
	return append(line, '\n')
}
