package script

import (
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/sdk/check"
)

const noWeight = -1

func weightOf(r check.Result) int {
	if r.Weight == nil {
		return noWeight
	}
	return *r.Weight
}

// TestVerdict has a row for every kind of end in every dialect.
func TestVerdict(t *testing.T) {
	exit := func(code int, output string) Ended {
		return Ended{Code: code, Output: []byte(output)}
	}
	segfault := Ended{Code: -1, Signal: syscall.SIGSEGV, Output: []byte("so far\n")}
	tests := []struct {
		dialect Dialect
		ended   Ended
		outcome check.Outcome
		reason  check.Reason
		weight  int
		detail  string
	}{
		{Keepalived, exit(0, ""), check.Pass, check.ReasonNone, noWeight, ""},
		{Keepalived, exit(0, "fine\nreally"), check.Pass, check.ReasonNone, noWeight, "fine"},
		{Keepalived, exit(1, ""), check.Fail, check.ReasonExit, noWeight, "exit code 1"},
		{Keepalived, exit(1, "\n  no route \n"), check.Fail, check.ReasonExit, noWeight, "exit code 1: no route"},
		{Keepalived, exit(2, ""), check.Fail, check.ReasonExit, noWeight, "exit code 2"},
		{Keepalived, exit(255, ""), check.Fail, check.ReasonExit, noWeight, "exit code 255"},
		{Keepalived, segfault, check.Fail, check.ReasonSignal, noWeight, "ended by SIGSEGV: so far"},

		{KeepalivedDynamic, exit(0, "fine"), check.Pass, check.ReasonNone, noWeight, "fine"},
		{KeepalivedDynamic, exit(1, ""), check.Fail, check.ReasonExit, noWeight, "exit code 1"},
		{KeepalivedDynamic, exit(2, "drain me"), check.Pass, check.ReasonNone, 0, "drain me"},
		{KeepalivedDynamic, exit(3, ""), check.Pass, check.ReasonNone, 1, ""},
		{KeepalivedDynamic, exit(127, ""), check.Pass, check.ReasonNone, 125, ""},
		{KeepalivedDynamic, exit(255, ""), check.Pass, check.ReasonNone, 253, ""},
		{KeepalivedDynamic, segfault, check.Fail, check.ReasonSignal, noWeight, "ended by SIGSEGV: so far"},

		{Nagios, exit(0, ""), check.Pass, check.ReasonNone, noWeight, ""},
		{Nagios, exit(0, "OK - fine | load=1"), check.Pass, check.ReasonNone, noWeight, "OK - fine"},
		{Nagios, exit(1, "WARNING - so so"), check.Pass, check.ReasonNone, noWeight, "WARNING - so so"},
		{Nagios, exit(1, ""), check.Pass, check.ReasonNone, noWeight, "exit code 1"},
		{Nagios, exit(2, "CRITICAL"), check.Fail, check.ReasonExit, noWeight, "CRITICAL"},
		{Nagios, exit(3, "UNKNOWN"), check.Unknown, check.ReasonExit, noWeight, "UNKNOWN"},
		{Nagios, exit(4, "what"), check.Unknown, check.ReasonExit, noWeight, "exit code 4 is none of a monitoring plugin: what"},
		{Nagios, exit(127, ""), check.Unknown, check.ReasonExit, noWeight, "exit code 127 is none of a monitoring plugin"},
		{Nagios, segfault, check.Unknown, check.ReasonSignal, noWeight, "ended by SIGSEGV: so far"},

		{"", exit(0, ""), check.Unknown, check.ReasonLocalError, noWeight, `dialect "" is not known`},
	}
	for _, test := range tests {
		r := test.dialect.Verdict(test.ended)
		if r.Outcome != test.outcome || r.Reason != test.reason || weightOf(r) != test.weight || r.Detail != test.detail {
			t.Errorf("%s, %d %v %q:\n got %v %v weight %d %q\nwant %v %v weight %d %q",
				test.dialect, test.ended.Code, test.ended.Signal, test.ended.Output,
				r.Outcome, r.Reason, weightOf(r), r.Detail, test.outcome, test.reason, test.weight, test.detail)
		}
	}
}

// TestWeightStaysInRange: no exit code yields a weight outside 0 to 253, and
// none but those of the dynamic dialect yields one at all.
func TestWeightStaysInRange(t *testing.T) {
	for code := range 256 {
		for _, d := range []Dialect{Keepalived, KeepalivedDynamic, Nagios} {
			weight := weightOf(d.Verdict(Ended{Code: code}))
			want := noWeight
			if d == KeepalivedDynamic && code >= 2 {
				want = code - 2
			}
			if weight != want {
				t.Errorf("%s, exit code %d: weight %d, want %d", d, code, weight, want)
			}
		}
	}
}

func TestDetailIsPrintable(t *testing.T) {
	output := "\x1b[31mred\x1b[0m\tand\x07 bell \xff\x80 gr\u00fc\u00df \u202egnp.exe\r\nsecond"
	if got, want := firstLine([]byte(output)), "[31mred[0m and bell \ufffd gr\u00fc\u00df gnp.exe"; got != want {
		t.Errorf("first line %q, want %q", got, want)
	}
	if got := firstLine([]byte("\r\n \n\x00\n")); got != "" {
		t.Errorf("first line %q of nothing", got)
	}
}

func TestPerfdata(t *testing.T) {
	tests := map[string]struct {
		output  string
		text    string
		metrics map[string]float64
	}{
		"none":      {"OK - fine", "OK - fine", nil},
		"plain":     {"OK | load1=0.25;5;10;0; load15=1", "OK", map[string]float64{"load1": 0.25, "load15": 1}},
		"times":     {"|a=1s b=20ms c=5us d=7ns", "", map[string]float64{"a_seconds": 1, "b_seconds": 0.02, "c_seconds": 0.000005, "d_seconds": 7e-9}},
		"units":     {"|used=81%;90 requests=17c size=5B mem=2643MB;5948 temp=-3.5C odd=1\u03a9", "", map[string]float64{"used_percent": 81, "requests_total": 17, "size_bytes": 5, "mem_mb": 2643, "temp_c": -3.5, "odd": 1}},
		"quoted":    {"|'free space'=4% 'it''s'=1 '='=2", "", map[string]float64{"free_space_percent": 4, "it_s": 1, "value": 2}},
		"odd names": {"|/=1 5min=2 C:\\=3 _x=4 \u00fc=5", "", map[string]float64{"value": 1, "value_5min": 2, "c": 3, "x": 4}},
		"undefined": {"|a=U b=;1 c= d=1.2.3 e=-- f=1", "", map[string]float64{"f": 1}},
		"broken":    {"|nonsense x=1 'open=2 y=3", "", map[string]float64{"x": 1, "y": 3}},
		"twice":     {"|a=1 a=2 A=3", "", map[string]float64{"a": 1}},
		"long": {
			"DISK OK - free space | /=10MB;20\n/ 15272 MB (77%)\n/boot 68 MB | boot=20MB\nhome=30MB;1;2\nvar=40MB", "DISK OK - free space",
			map[string]float64{"value_mb": 10, "boot_mb": 20, "home_mb": 30, "var_mb": 40},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text, metrics := parseNagios([]byte(test.output))
			if text != test.text {
				t.Errorf("text %q, want %q", text, test.text)
			}
			if !maps.EqualFunc(metrics, test.metrics, func(a, b float64) bool { return a-b < 1e-12 && b-a < 1e-12 }) {
				t.Errorf("metrics %v, want %v", metrics, test.metrics)
			}
		})
	}
}

func TestPerfdataLimits(t *testing.T) {
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, " m%d=%d", i, i)
	}
	if _, metrics := parseNagios([]byte("|" + many.String())); len(metrics) != mostMetrics {
		t.Errorf("%d metrics, want %d", len(metrics), mostMetrics)
	}
	_, metrics := parseNagios([]byte("|" + strings.Repeat("l", 300) + "=1ms x=1" + strings.Repeat("u", 300)))
	if len(metrics) != 1 {
		t.Fatalf("metrics %v, want one", metrics)
	}
	for name := range metrics {
		if len(name) != longestMetric || !strings.HasSuffix(name, "_seconds") {
			t.Errorf("name %q of %d bytes", name, len(name))
		}
	}
}

// FuzzNagios wants no panic, names the core takes, and printable text,
// whatever a script prints.
func FuzzNagios(f *testing.F) {
	f.Add([]byte("DISK OK | '/ x'=2643MB;5948;5958;0;5968 a=1s\ntext|b=2"))
	f.Add([]byte("|''='"))
	f.Add([]byte("|=1 =  '=' \xff=1e9"))
	f.Fuzz(func(t *testing.T, output []byte) {
		text, metrics := parseNagios(output)
		if strings.ContainsAny(text, "\n\r\x1b\x00") {
			t.Errorf("text %q", text)
		}
		if len(metrics) > mostMetrics {
			t.Errorf("%d metrics", len(metrics))
		}
		for name := range metrics {
			checkMetricName(t, name)
		}
	})
}

// TestPerfdataProperty: what a plugin prints in the documented form is read back.
func TestPerfdataProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wanted := rapid.MapOfN(rapid.StringMatching(`[a-z][a-z0-9]{0,10}`), rapid.IntRange(-1e9, 1e9), 0, mostMetrics).Draw(t, "metrics")
		var line strings.Builder
		line.WriteString("OK|")
		for label, value := range wanted {
			if rapid.Bool().Draw(t, "quoted") {
				label = "'" + label + "'"
			}
			fmt.Fprintf(&line, "%s=%d%s ", label, value, rapid.SampledFrom([]string{"", ";", ";1;2;3;4", ";;5"}).Draw(t, "limits"))
		}
		_, metrics := parseNagios([]byte(line.String()))
		if len(metrics) != len(wanted) {
			t.Fatalf("%q: %v", line.String(), metrics)
		}
		for label, value := range wanted {
			if metrics[label] != float64(value) {
				t.Fatalf("%q: %s is %v", line.String(), label, metrics[label])
			}
		}
	})
}

func checkMetricName(t *testing.T, name string) {
	t.Helper()
	if name == "" || len(name) > longestMetric || name[0] < 'a' || name[0] > 'z' {
		t.Errorf("metric name %q", name)
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			t.Errorf("metric name %q", name)
		}
	}
}
