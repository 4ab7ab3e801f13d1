package config

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// big writes a file of so many virtual servers, with so many real servers in
// all, as even as can be. Every heavy-th server has another weight.
func big(services, servers, heavy int) string {
	var b strings.Builder
	number := 0
	for i := range services {
		fmt.Fprintf(&b, "[virtual_server.service-%d]\naddress = \"10.1.%d.%d:80\"\ncheck = [{ type = \"tcp\", interval = \"10s\" }]\n", i, i/250, i%250+1)
		for ; number < servers*(i+1)/services; number++ {
			weight := 1
			if heavy > 0 && number%heavy == 0 {
				weight = 2
			}
			fmt.Fprintf(&b, "[[virtual_server.service-%d.real_server]]\naddress = \"10.%d.%d.%d:8080\"\nweight = %d\n",
				i, 2+number/62500, number/250%250, number%250+1, weight)
		}
	}
	return b.String()
}

// The largest configuration that anybody was heard to have.
const (
	mostServices = 2284
	mostServers  = 37298
)

func TestBigFile(t *testing.T) {
	t.Parallel()
	old := mustParse(t, big(mostServices, mostServers, 0))
	next := mustParse(t, big(mostServices, mostServers, 37))
	servers := 0
	for _, vs := range next.VirtualServers {
		servers += len(vs.Servers)
	}
	if len(next.VirtualServers) != mostServices || servers != mostServers {
		t.Errorf("%d services with %d servers", len(next.VirtualServers), servers)
	}
	weights := 0
	for _, change := range Diff(old, next).VirtualServers {
		for _, field := range change.Fields {
			if field.Old != "1" || field.New != "2" || !strings.HasSuffix(field.Name, ".weight") {
				t.Fatalf("%s: %s", change.Name, field)
			}
			weights++
		}
	}
	if want := (mostServers + 36) / 37; weights != want {
		t.Errorf("%d weights changed, want %d", weights, want)
	}
}

// TestColumnsOfLongLines counts characters where blocks of them meet.
func TestColumnsOfLongLines(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("aé€𝄞\n", 3) + strings.Repeat("aé€𝄞", 1000)
	s := newSource("f", text)
	line, column := 1, 1
	for i, r := range text {
		if got := s.position(i); got.Line != line || got.Column != column {
			t.Fatalf("offset %d is at %d:%d, want %d:%d", i, got.Line, got.Column, line, column)
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	if got := s.position(len(text) + 9); got.Line != 4 || got.Column != 4001 {
		t.Errorf("beyond the end is at %d:%d", got.Line, got.Column)
	}
}

// TestParseIsLinear compares files of which one is 32 times the other: in
// services, in servers of one service, and in mistakes. What a quadratic
// reader does beside would be 32 times too much; six times is allowed
// for caches and the garbage collector. What is compared is bytes allocated and
// the processor time of this process, which other processes do not lengthen.
func TestParseIsLinear(t *testing.T) { //nolint:paralleltest // Measures.
	const times, allowed = 32, 6
	for name, text := range map[string]func(n int) string{
		"services":  func(n int) string { return big(20*n, 320*n, 0) },
		"servers":   func(n int) string { return big(1, 320*n, 0) },
		"addresses": func(n int) string { return "a = [" + strings.Repeat("\"x\",\n", 2000*n) + "]" },
		"instances": func(n int) string {
			var b strings.Builder
			for i := range 100 * n {
				fmt.Fprintf(&b, "[vrrp_instance.i%d]\ninterface = \"e%d\"\nvirtual_router_id = 1\naddresses = [\"10.0.%d.%d\"]\n", i, i, i/250, i%250+1)
			}
			return b.String()
		},
		"mistakes": func(n int) string { return strings.Repeat("[[virtual_server.a.real_server]]\naddr = 1\n", 200*n) },
		"unknown":  func(n int) string { return manyKeys(300 * n) },
		"long line": func(n int) string {
			return "[virtual_server.a]\nreal_server = [" + strings.Repeat(`{ address = "x" }, `, 300*n) + "]"
		},
		"repetitions": func(n int) string { return strings.Repeat("a = 1\n", 5000*n) },
		"broken end":  func(n int) string { return big(20*n, 320*n, 0) + "x = y" },
	} {
		small, large := work(t, text(1), 5), work(t, text(times), 2)
		t.Logf("%s: %.1f times the bytes, %.1f times the time", name, float64(large.bytes)/float64(small.bytes), float64(large.took)/float64(small.took))
		if large.bytes > small.bytes*times*allowed {
			t.Errorf("%s: %d bytes allocated for one, %d for %d", name, small.bytes, large.bytes, times)
		}
		if large.took > small.took*times*allowed {
			t.Errorf("%s: %v for one, %v for %d", name, small.took, large.took, times)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	b.WriteString("[vrrp_instance.a]\n")
	for i := range n {
		fmt.Fprintf(&b, "key%d = 1\n", i)
	}
	return b.String()
}

type effort struct {
	took  time.Duration
	bytes uint64
}

// work is the least effort of so many times to parse a text.
func work(t *testing.T, text string, repeats int) effort {
	t.Helper()
	catalogue := testCatalogue(t)
	best := effort{took: time.Hour}
	for range repeats {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := processorTime(t)
		parse("f", []byte(text), catalogue, testMachine())
		took := processorTime(t) - start
		runtime.ReadMemStats(&after)
		best.took = min(best.took, took)
		best.bytes = after.TotalAlloc - before.TotalAlloc
	}
	return best
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(unix.TimevalToNsec(usage.Utime) + unix.TimevalToNsec(usage.Stime))
}

func BenchmarkParse(b *testing.B) {
	text := []byte(big(mostServices, mostServers, 0))
	catalogue := testCatalogue(b)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if g, problems := parse("f", text, catalogue, testMachine()); g == nil {
			b.Fatal(problems)
		}
	}
}

func BenchmarkDiff(b *testing.B) {
	catalogue := testCatalogue(b)
	old, _ := parse("f", []byte(big(mostServices, mostServers, 0)), catalogue, testMachine())
	next, _ := parse("f", []byte(big(mostServices, mostServers, 37)), catalogue, testMachine())
	for b.Loop() {
		if Diff(old, next).Empty() {
			b.Fatal("no difference")
		}
	}
}
