package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const referenceFile = "../../contrib/halo.reference.toml"

// referenceKey is one documented key of the reference file.
type referenceKey struct {
	path    string // as in Keys
	line    int    // index of the line that holds the key
	off     bool   // behind a "#"
	value   string
	comment []string
}

var (
	headerLine = regexp.MustCompile(`^\[+([^\]]+)\]+$`)
	keyLine    = regexp.MustCompile(`^(#?)([a-z0-9_]+) = (.*)$`)
	chosenName = regexp.MustCompile(`^(vrrp_instance|vrrp_sync_group|tracker|virtual_server|plugin)\.[^.]+`)
)

// referenceKeys reads the reference file by its lines alone.
func referenceKeys(t *testing.T, lines []string) []referenceKey {
	t.Helper()
	var found []referenceKey
	comment := make([]string, 0, 8)
	table := ""
	for i, line := range lines {
		if m := keyLine.FindStringSubmatch(line); m != nil {
			if len(comment) > 0 {
				found = append(found, referenceKey{path: table + "." + m[2], line: i, off: m[1] == "#", value: m[3], comment: comment})
			}
			comment = nil
			continue
		}
		if m := headerLine.FindStringSubmatch(line); m != nil {
			table = chosenName.ReplaceAllString(m[1], "$1.NAME")
			table = strings.ReplaceAll(strings.ReplaceAll(table, ".check", ".check[]"), ".real_server", ".real_server[]")
			table = strings.ReplaceAll(table, ".routes.nexthops", ".routes[].nexthops")
			if strings.HasPrefix(line, "[[") && !strings.HasSuffix(table, "[]") {
				table += "[]"
			}
			comment = nil
			continue
		}
		switch {
		case line == "":
			comment = nil
		case strings.HasPrefix(line, "#"):
			comment = append(comment, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		default:
			t.Fatalf("line %d is neither a key, nor a table, nor a comment: %s", i+1, line)
		}
	}
	return found
}

func readReference(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// field returns what a comment says behind "  Takes:" or another such word.
func (k referenceKey) field(word string) (string, bool) {
	for _, line := range k.comment {
		if rest, ok := strings.CutPrefix(line, "  "+word); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// TestReferenceFileIsComplete holds the reference file against Keys, which is
// made by the code that reads files: each key of either is in the other, with
// the same values and the same default.
func TestReferenceFileIsComplete(t *testing.T) {
	t.Parallel()
	documented := map[string]referenceKey{}
	for _, k := range referenceKeys(t, readReference(t)) {
		if _, twice := documented[k.path]; twice {
			t.Errorf("%s is documented twice", k.path)
		}
		documented[k.path] = k
	}
	const own = "virtual_server.NAME.real_server[].check[]."
	for _, key := range Keys() {
		if rest, ok := strings.CutPrefix(key.Path, own); ok {
			// The checks of a real server have the keys of a virtual server's.
			key.Path = "virtual_server.NAME.check[]." + rest
		}
		k, ok := documented[key.Path]
		if !ok {
			t.Errorf("%s is not in the reference file", key.Path)
			continue
		}
		k.hold(t, key)
	}
	keys := Keys()
	for path := range documented {
		if !slices.ContainsFunc(keys, func(key Key) bool { return key.Path == path }) {
			t.Errorf("%s is in the reference file, and no code reads it", path)
		}
	}
	if len(keys) < 60 {
		t.Errorf("only %d keys", len(keys))
	}
}

// hold compares one key's documentation with the code.
func (k referenceKey) hold(t *testing.T, key Key) {
	t.Helper()
	if strings.HasPrefix(k.comment[0], "  ") {
		t.Errorf("%s: the comment does not begin with its meaning", key.Path)
	}
	if takes, _ := k.field("Takes:"); takes != key.Expected {
		t.Errorf("%s: Takes: %s, and the code says %s", key.Path, takes, key.Expected)
	}
	if known, ok := k.field("Known as:"); !ok || known == "" {
		t.Errorf("%s: nothing is said of its other names", key.Path)
	}
	if change, ok := k.field("Change it"); !ok || change == "" {
		t.Errorf("%s: nothing is said of when to change it", key.Path)
	}
	def, hasDefault := k.field("Default:")
	_, required := k.field("Required")
	switch {
	case required != key.Required || hasDefault == key.Required:
		t.Errorf("%s: required is %t in the file and %t in the code", key.Path, required, key.Required)
	case key.Required && k.off:
		t.Errorf("%s: is required and stands behind a #", key.Path)
	case !key.Required && k.off != (key.Default == ""):
		t.Errorf("%s: stands behind a #: %t; its default in the code: %q", key.Path, k.off, key.Default)
	case key.Default != "" && def != key.Default && !strings.HasPrefix(def, key.Default+", "):
		t.Errorf("%s: Default: %s, and the code says %s", key.Path, def, key.Default)
	case key.Default != "" && k.value != key.Default:
		t.Errorf("%s: has the value %s, and its default is %s", key.Path, k.value, key.Default)
	case !key.Required && def == "":
		t.Errorf("%s: nothing is said of its absence", key.Path)
	}
}

// TestReferenceFileLoads also proves what its first lines promise: a key that
// stands with its default can go, and one behind a "#" can come.
func TestReferenceFileLoads(t *testing.T) {
	t.Parallel()
	lines := readReference(t)
	parseLines := func(lines []string) (*Generation, Problems) {
		return parse("halo.reference.toml", []byte(strings.Join(lines, "\n")+"\n"), testCatalogue(t), testMachine())
	}
	whole, problems := parseLines(lines)
	if len(problems) > 0 {
		t.Fatalf("problems:\n%s", problems)
	}
	holds(t, strings.Join(lines, "\n"))
	for _, k := range referenceKeys(t, lines) {
		_, required := k.field("Required")
		changed := slices.Clone(lines)
		if k.off {
			changed[k.line] = strings.TrimPrefix(changed[k.line], "#")
		} else {
			changed[k.line] = ""
		}
		g, problems := parseLines(changed)
		switch {
		case required:
			if g != nil || !strings.Contains(problems.String(), "is missing") {
				t.Errorf("line %d: %s is required and can go: %s", k.line+1, k.path, problems)
			}
		case len(problems) > 0:
			t.Errorf("line %d: %s breaks the file:\n%s", k.line+1, k.path, problems)
		case k.off && Diff(whole, g).Empty() && !strings.HasSuffix(k.path, ".plugin_user") && !strings.HasSuffix(k.path, ".router_id"):
			t.Errorf("line %d: %s makes no difference", k.line+1, k.path)
		case !k.off && !Diff(whole, g).Empty():
			t.Errorf("line %d: without %s the file says something else:\n%s", k.line+1, k.path, Diff(whole, g))
		}
	}
}

// TestKeysAreReadOnce finds a key that two pieces of code read.
func TestKeysAreReadOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range Keys() {
		if seen[k.Path] {
			t.Errorf("%s is listed twice", k.Path)
		}
		seen[k.Path] = true
		if k.Expected == "" || k.Required && k.Default != "" {
			t.Errorf("%+v says too little or too much", k)
		}
	}
}

// TestSamplesLoad loads the two balancers of the sample and holds that they
// differ in nothing but what its first lines say.
func TestSamplesLoad(t *testing.T) {
	t.Parallel()
	sample := func(name string) *Generation {
		path := "../../contrib/samples/two-node/" + name
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		g, problems := parse(path, data, testCatalogue(t), testMachine())
		if len(problems) > 0 {
			t.Fatalf("problems:\n%s", problems)
		}
		return g
	}
	const want = "global changed: router_id lb1 -> lb2\nvrrp_instance VI_1 changed: priority 150 -> 100, source_address 192.0.2.2 -> 192.0.2.3\n"
	if got := Diff(sample("lb1.toml"), sample("lb2.toml")).String(); got != want {
		t.Errorf("the balancers differ in:\n%swant:\n%s", got, want)
	}
}
