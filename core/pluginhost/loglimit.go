package pluginhost

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// The share of the daemon's log that one plugin process may fill.
const (
	logRate  = 5  // lines a second
	logBurst = 50 // lines
)

// pluginLog writes a plugin's lines to the daemon's log, as many as the limit
// allows, and says how many it left out. Safe for concurrent use: stdout and
// stderr are read by different goroutines.
type pluginLog struct {
	logger *slog.Logger

	guard   sync.Mutex
	tokens  float64
	last    time.Time
	dropped int
}

func (l *pluginLog) write(ctx context.Context, e entry, stream string, cut bool) {
	if e.text == "" || !l.logger.Enabled(ctx, e.level) {
		return
	}
	dropped, ok := l.take(time.Now())
	if !ok {
		return
	}
	attributes := []slog.Attr{slog.String("stream", stream), slog.String("line", e.text)}
	if cut {
		attributes = append(attributes, slog.Bool("cut", true))
	}
	if dropped > 0 {
		attributes = append(attributes, slog.Int("dropped_before", dropped))
	}
	l.logger.LogAttrs(ctx, e.level, "plugin says", attributes...)
}

// take asks for one line at now. It returns how many were refused before it.
func (l *pluginLog) take(now time.Time) (dropped int, ok bool) {
	l.guard.Lock()
	defer l.guard.Unlock()
	if l.last.IsZero() {
		l.tokens = logBurst
	} else {
		l.tokens = min(logBurst, l.tokens+logRate*now.Sub(l.last).Seconds())
	}
	l.last = now
	if l.tokens < 1 {
		l.dropped++
		return 0, false
	}
	l.tokens--
	dropped, l.dropped = l.dropped, 0
	return dropped, true
}
