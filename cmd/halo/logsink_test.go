package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func jsonForm(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }

// blockedWriter is a pipe that nobody reads until it is opened.
type blockedWriter struct {
	open chan struct{}
	text bytes.Buffer
}

func (w *blockedWriter) Write(p []byte) (int, error) {
	<-w.open
	return w.text.Write(p)
}

// TestLogSinkNeverBlocks fills a log that nobody reads: every write returns,
// what was lost is counted in the log's own form, and order is kept.
func TestLogSinkNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &blockedWriter{open: make(chan struct{})}
		handler, sink := newLogHandler(w, jsonForm)
		logger := slog.New(handler)
		const lost = 100
		// One line is in the hands of the blocked writer, the queue is full
		// behind it.
		logger.Info("first")
		synctest.Wait()
		for range logQueue + lost {
			logger.Info("more")
		}
		start := time.Now()
		sink.flush(time.Second)
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("flush of a blocked log waited %s, want its whole patience", waited)
		}
		close(w.open)
		synctest.Wait()
		logger.Info("last")
		sink.flush(time.Second)
		lines := strings.Split(strings.TrimSpace(w.text.String()), "\n")
		if !strings.Contains(lines[0], "first") || !strings.Contains(lines[len(lines)-1], "last") {
			t.Errorf("first line %s, last line %s", lines[0], lines[len(lines)-1])
		}
		if !strings.Contains(w.text.String(), `"dropped":100}`) {
			t.Errorf("the log does not account for %d lost lines", lost)
		}
		close(sink.queue)
	})
}

func TestLogForm(t *testing.T) {
	var text bytes.Buffer
	for format, want := range map[string]string{"auto": `{"time"`, "json": `{"time"`, "text": "time="} {
		text.Reset()
		form, err := logForm(&text, format, new(slog.LevelVar))
		if err != nil {
			t.Fatal(err)
		}
		slog.New(form(&text)).Info("hello")
		if !strings.HasPrefix(text.String(), want) {
			t.Errorf("--log-format %s writes %q, want it to begin with %q", format, &text, want)
		}
	}
	if _, err := logForm(&text, "xml", nil); err == nil {
		t.Error("--log-format xml is accepted")
	}
}
