package logline

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// timeFormat is the one go-plugin's host parses.
const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

// What one record may hold; the product stays below MaxLine after escaping in
// all but contrived cases, which Writer catches.
const (
	maxText  = 4096
	maxAttrs = 32
)

// New returns the two loggers of a plugin on one Writer: go-plugin's own and
// the author's. level is one of trace, debug, info, warn, error; anything else
// is info.
func New(out io.Writer, level string) (hclog.Logger, *slog.Logger) {
	lowest := hclog.LevelFromString(level)
	if lowest == hclog.NoLevel {
		lowest = hclog.Info
	}
	h := hclog.New(&hclog.LoggerOptions{Output: out, JSONFormat: true, Level: lowest, TimeFormat: timeFormat})
	return h, slog.New(&handler{out: h})
}

// handler is a slog.Handler over an hclog.Logger.
type handler struct {
	out    hclog.Logger
	fields []any  // keys and values of WithAttrs
	prefix string // of WithGroup, with its dots
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return h.out.GetLevel() <= hclogLevel(level)
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	fields := slices.Clone(h.fields)
	r.Attrs(func(a slog.Attr) bool {
		fields = appendAttr(fields, h.prefix, a)
		return true
	})
	h.out.Log(hclogLevel(r.Level), short(r.Message), fields...)
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.fields = slices.Clone(h.fields)
	for _, a := range attrs {
		with.fields = appendAttr(with.fields, h.prefix, a)
	}
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.prefix = h.prefix + name + "."
	return &with
}

func appendAttr(fields []any, prefix string, a slog.Attr) []any {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			fields = appendAttr(fields, prefix, inner)
		}
		return fields
	}
	if a.Key == "" || len(fields) >= 2*maxAttrs {
		return fields
	}
	// Keys that start with @ are hclog's own.
	return append(fields, short(strings.TrimLeft(prefix+a.Key, "@")), plain(v))
}

// plain turns a value into what JSON holds without surprises.
func plain(v slog.Value) any {
	switch v.Kind() {
	case slog.KindBool:
		return v.Bool()
	case slog.KindInt64:
		return v.Int64()
	case slog.KindUint64:
		return v.Uint64()
	case slog.KindFloat64:
		if f := v.Float64(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	case slog.KindAny, slog.KindString, slog.KindDuration, slog.KindTime, slog.KindGroup, slog.KindLogValuer:
	}
	if err, ok := v.Any().(error); ok {
		return short(err.Error())
	}
	if text, ok := v.Any().(fmt.Stringer); ok {
		return short(text.String())
	}
	return short(v.String())
}

func short(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "..."
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

func hclogLevel(level slog.Level) hclog.Level {
	switch {
	case level < slog.LevelDebug:
		return hclog.Trace
	case level < slog.LevelInfo:
		return hclog.Debug
	case level < slog.LevelWarn:
		return hclog.Info
	case level < slog.LevelError:
		return hclog.Warn
	}
	return hclog.Error
}
