package main

import (
	"bytes"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// logSink stands between the daemon and its standard error, so that no
// goroutine ever waits for whoever reads the log: a pipe that nobody empties
// or a terminal that is stopped must not hold up an advertisement. Lines that
// find the queue full are dropped, counted, and accounted for in the log
// itself as soon as it moves again.
type logSink struct {
	queue   chan entry
	dropped atomic.Uint64
}

// entry is one line, or a mark that flush waits for.
type entry struct {
	line []byte
	mark chan<- struct{}
}

// logQueue is how many lines may wait: a few seconds of a very bad day.
const logQueue = 4096

// newLogHandler makes the daemon's log handler: form is slog.NewTextHandler or
// its JSON twin, w is where lines end up. The goroutine that writes lives as
// long as the process.
func newLogHandler(w io.Writer, form func(io.Writer) slog.Handler) (slog.Handler, *logSink) {
	s := &logSink{queue: make(chan entry, logQueue)}
	go s.drain(w, form)
	return form(s), s
}

// Write never blocks and never fails.
func (s *logSink) Write(line []byte) (int, error) {
	select {
	case s.queue <- entry{line: bytes.Clone(line)}:
	default:
		s.dropped.Add(1)
	}
	return len(line), nil
}

// flush waits until what was written so far is out, but not for ever.
func (s *logSink) flush(patience time.Duration) {
	written := make(chan struct{}, 1)
	timeout := time.After(patience)
	select {
	case s.queue <- entry{mark: written}:
	case <-timeout:
		return
	}
	select {
	case <-written:
	case <-timeout:
	}
}

func (s *logSink) drain(w io.Writer, form func(io.Writer) slog.Handler) {
	own := slog.New(form(w))
	for e := range s.queue {
		if e.mark != nil {
			e.mark <- struct{}{}
			continue
		}
		// A write that fails loses its line; there is nowhere to say so.
		_, _ = w.Write(e.line)
		if n := s.dropped.Swap(0); n > 0 {
			own.Warn("log lines were dropped: the reader of standard error is too slow", "dropped", n)
		}
	}
}
