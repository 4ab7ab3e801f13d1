package pluginhost

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestLastWordsKeepTheEndAndTheCause(t *testing.T) {
	var w lastWords
	if w.summary() != "" || len(w.all()) != 0 {
		t.Error("somebody who said nothing has last words")
	}
	w.add(entry{})
	w.add(entry{text: "starting", plain: true})
	if w.summary() != "starting" {
		t.Errorf("summary is %q", w.summary())
	}
	w.add(entry{text: "session opened", level: slog.LevelInfo})
	if w.summary() != "starting" {
		t.Errorf("an ordinary entry is taken for the cause: %q", w.summary())
	}
	w.add(entry{text: "no descriptor left", level: slog.LevelError})
	if w.summary() != "no descriptor left" {
		t.Errorf("summary is %q", w.summary())
	}
	w.add(entry{text: "panic: settings are nil", plain: true})
	for i := range 100 {
		if !w.add(entry{text: fmt.Sprintf("frame %d", i), plain: true}) {
			t.Fatal("a frame is not taken for a part of the crash")
		}
	}
	if got := w.summary(); got != "panic: settings are nil" {
		t.Errorf("the cause is lost behind the stack: %q", got)
	}
	all := w.all()
	if len(all) != keptLines || all[len(all)-1] != "frame 99" || all[0] != "frame 80" {
		t.Errorf("kept %d lines from %q to %q, want the last %d", len(all), all[0], all[len(all)-1], keptLines)
	}
	w.add(entry{text: strings.Repeat("é", keptPerLine)})
	if all = w.all(); len(all[keptLines-1]) > keptPerLine+len("…") {
		t.Errorf("a line of %d bytes is kept", len(all[keptLines-1]))
	}
}

func TestParseEntry(t *testing.T) {
	tests := []struct {
		name, line string
		want       entry
	}{
		{"empty", "  ", entry{slog.LevelInfo, "", true}},
		{"plain", "listening", entry{slog.LevelInfo, "listening", true}},
		{"slog", `{"time":"2000-01-01T00:00:00Z","level":"WARN","msg":"loop is late","lag":"2s","a":1}`, entry{slog.LevelWarn, `loop is late {"a":1,"lag":"2s"}`, false}},
		{"hclog", `{"@level":"debug","@message":"serving","@module":"x","@timestamp":"t"}`, entry{slog.LevelDebug, "serving", false}},
		{"error", `{"level":"ERROR","msg":"no descriptor"}`, entry{slog.LevelError, "no descriptor", false}},
		{"unknown level", `{"level":"NOTICE","msg":"x"}`, entry{slog.LevelInfo, "x", false}},
		{"JSON of another kind", `{"hello":1}`, entry{slog.LevelInfo, `{"hello":1}`, true}},
		{"broken JSON", `{"msg":`, entry{slog.LevelInfo, `{"msg":`, true}},
		{"terminal control", "\x1b[31mred\x1b[0m\r\nforged", entry{slog.LevelInfo, "·[31mred·[0m··forged", true}},
		{"control in JSON", `{"msg":"a\u001b[2Jb\nlevel=ERROR"}`, entry{slog.LevelInfo, "a·[2Jb·level=ERROR", false}},
		{"not UTF-8", "caf\xe9", entry{slog.LevelInfo, "caf·", true}},
		{"tabs and letters stay", "\tgoroutine 1 über", entry{slog.LevelInfo, "goroutine 1 über", true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseEntry([]byte(tt.line)); got != tt.want {
				t.Errorf("parseEntry(%q) = %+v, want %+v", tt.line, got, tt.want)
			}
		})
	}
}

func FuzzParseEntry(f *testing.F) {
	for _, seed := range []string{"", "{", `{"msg":1}`, `{"@message":"x","@level":null}`, "\x00\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e := parseEntry(line)
		if e.text != printable(e.text) || strings.ContainsAny(e.text, "\n\r\x1b\x00") {
			t.Errorf("parseEntry(%q) lets %q through", line, e.text)
		}
	})
}
