package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/sdk/schema"
)

func goodPlugin(t *testing.T) schema.Plugin {
	t.Helper()
	return schema.Plugin{
		Name: "halo-check-probe", Version: "1.0.0", SDK: "go/1.0.0", Protocols: []int{1},
		Types: []schema.Type{typeOf(t, everything{})},
	}
}

func TestCheckPluginAcceptsAGoodOne(t *testing.T) {
	if problems := schema.CheckPlugin(goodPlugin(t)); len(problems) > 0 {
		t.Errorf("problems = %v", problems)
	}
}

func TestCheckPluginOneMistakeEach(t *testing.T) {
	many := make([]schema.Setting, 129)
	for _, tc := range []struct {
		name  string
		spoil func(p *schema.Plugin)
		want  string
	}{
		{"no name", func(p *schema.Plugin) { p.Name = "" }, "name is"},
		{"foreign name", func(p *schema.Plugin) { p.Name = "check-tcp" }, "name is check-tcp"},
		{"path in name", func(p *schema.Plugin) { p.Name = "halo-../x" }, "name is"},
		{"no version", func(p *schema.Plugin) { p.Version = "" }, "version is"},
		{"escape in version", func(p *schema.Plugin) { p.Version = "1\x1b[2J" }, "version is"},
		{"long sdk", func(p *schema.Plugin) { p.SDK = strings.Repeat("x", 65) }, "sdk is"},
		{"no protocols", func(p *schema.Plugin) { p.Protocols = nil }, "protocols has 0"},
		{"no types", func(p *schema.Plugin) { p.Types = nil }, "types has 0"},
		{"too many types", func(p *schema.Plugin) { p.Types = make([]schema.Type, 65) }, "types has 65"},
		{"type twice", func(p *schema.Plugin) { p.Types = append(p.Types, p.Types[0]) }, "types.probe is given twice"},
		{"type name", func(p *schema.Plugin) { p.Types[0].Name = "Probe" }, `types."Probe".name is "Probe"`},
		{"kind", func(p *schema.Plugin) { p.Types[0].Kind = "route" }, `types.probe.kind is route`},
		{"type doc", func(p *schema.Plugin) { p.Types[0].Doc = "a\u202eb" }, "types.probe.doc is too long or not printable"},
		{"too many settings", func(p *schema.Plugin) { p.Types[0].Settings = many }, "types.probe.settings has 129"},
		{"setting twice", func(p *schema.Plugin) {
			p.Types[0].Settings = append(p.Types[0].Settings, schema.Setting{Name: "path", Kind: schema.String})
		}, "types.probe.path is given twice"},
		{"reserved", func(p *schema.Plugin) {
			p.Types[0].Settings = []schema.Setting{{Name: "interval", Kind: schema.Duration}}
		}, "types.probe.interval is a key of halo itself"},
		{"setting name", func(p *schema.Plugin) {
			p.Types[0].Settings = []schema.Setting{{Name: "a b", Kind: schema.String}}
		}, "is not a word"},
		{"setting doc", func(p *schema.Plugin) {
			p.Types[0].Settings = []schema.Setting{{Name: "a", Kind: schema.String, Doc: "\xff"}}
		}, "doc that is too long"},
		{"setting kind", func(p *schema.Plugin) {
			p.Types[0].Settings = []schema.Setting{{Name: "a", Kind: "address"}}
		}, "has kind address, which this version"},
		{"long bound", func(p *schema.Plugin) {
			p.Types[0].Settings = []schema.Setting{{Name: "a", Kind: schema.Int, Min: strings.Repeat("1", 65)}}
		}, "too long"},
		{"wrong bound", func(p *schema.Plugin) {
			p.Types[0].Settings = []schema.Setting{{Name: "a", Kind: schema.Duration, Max: "5"}}
		}, "wrong bound"},
		{"huge enum", func(p *schema.Plugin) {
			p.Types[0].Settings = []schema.Setting{{Name: "a", Kind: schema.String, Enum: make([]string, 129)}}
		}, "enum of 129"},
		{"default breaks enum", func(p *schema.Plugin) {
			p.Types[0].Settings = []schema.Setting{{Name: "a", Kind: schema.String, Enum: []string{"x"}, Default: `"y"`}}
		}, "has a default that is not one of"},
		{"default is not JSON", func(p *schema.Plugin) {
			p.Types[0].Settings = []schema.Setting{{Name: "a", Kind: schema.String, Default: `'y'`}}
		}, "has a default that is not valid JSON"},
		{"capability", func(p *schema.Plugin) {
			p.Types[0].Settings = []schema.Setting{{Name: "a", Kind: schema.String, Capability: "sys_admin;"}}
		}, "capability"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := goodPlugin(t)
			tc.spoil(&p)
			problems := schema.CheckPlugin(p)
			for _, problem := range problems {
				if strings.Contains(problem.String(), tc.want) {
					return
				}
			}
			t.Errorf("problems = %v, want one with %q", problems, tc.want)
		})
	}
}

func TestMessagesAboutHostileNamesStayPrintable(t *testing.T) {
	p := goodPlugin(t)
	p.Name = strings.Repeat("\x1b[31m", 5000)
	p.Types[0].Name = "\x00\r\n" + strings.Repeat("y", 5000)
	for _, problem := range schema.CheckPlugin(p) {
		if text := problem.String(); len(text) > 400 || strings.ContainsAny(text, "\x1b\x00\r\n") {
			t.Errorf("problem is not fit for a terminal: %.100q", text)
		}
	}
}

func TestReservedWordsAreRefusedForEveryKind(t *testing.T) {
	for _, kind := range []schema.Kind{schema.KindCheck, schema.KindTrack, schema.KindNotify} {
		words := schema.Reserved(kind)
		if len(words) == 0 {
			t.Errorf("kind %s reserves nothing", kind)
		}
		for _, word := range words {
			typ := schema.Type{Name: "t", Kind: kind, Settings: []schema.Setting{{Name: word, Kind: schema.String}}}
			if len(schema.CheckType(typ)) == 0 {
				t.Errorf("kind %s: setting %s was accepted", kind, word)
			}
		}
	}
	if words := schema.Reserved("route"); words != nil {
		t.Errorf("an unknown kind reserves %v", words)
	}
}

func TestPluginSurvivesJSON(t *testing.T) {
	want := goodPlugin(t)
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got schema.Plugin
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plugin (-want +got):\n%s", diff)
	}
}

// FuzzDecode holds the promise that schema and decoder agree: what Validate
// passes Decode decodes, and the other way round.
func FuzzDecode(f *testing.F) {
	settings, err := schema.Of(everything{})
	if err != nil {
		f.Fatal(err)
	}
	typ := schema.Type{Name: "probe", Kind: schema.KindCheck, Settings: settings}
	for _, seed := range []string{
		``, `{}`, `null`, `{"command":["x"]}`, `{"command":["x"],"port":65535,"small":-128,"retries":10}`,
		`{"command":["x"],"pause":"1m","ratio":1,"codes":[1,2],"headers":{"a":"b"}}`,
		`{"command":["x"],"command":["y"]}`, `{"command":[1]}`, `{"port":-1}`, `{"ratio":1e400}`,
		"{\"\xff\":1}", `{"password":"p","fwmark":4294967296}`, `[[[[`, `{"a":{"a":{"a":1}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var into everything
		err := schema.Decode(data, &into)
		problems := schema.Validate(data, typ)
		if (err == nil) != (len(problems) == 0) {
			t.Fatalf("Decode says %v, Validate says %v", err, problems)
		}
		if err == nil && (into.Port == 0 && strings.Contains(string(data), `"port"`) || len(into.Command) == 0) {
			t.Fatalf("accepted %s as %+v", data, into)
		}
	})
}

// FuzzCheckPlugin feeds descriptions of hostile plugins.
func FuzzCheckPlugin(f *testing.F) {
	f.Add([]byte(`{"name":"halo-x","version":"1","protocols":[1],"types":[{"name":"a","kind":"check","settings":[{"name":"b","kind":"int","min":"1","default":"0"}]}]}`))
	f.Add([]byte(`{"types":[{"settings":[{"kind":"strings","default":"[1]"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p schema.Plugin
		if json.Unmarshal(data, &p) != nil {
			return
		}
		if len(schema.CheckPlugin(p)) > 0 {
			return
		}
		for _, typ := range p.Types {
			for _, s := range typ.Settings {
				if s.Default == "" {
					continue
				}
				raw := []byte(`{"` + s.Name + `":` + s.Default + `}`)
				only := schema.Type{Settings: []schema.Setting{s}}
				if problems := schema.Validate(raw, only); len(problems) > 0 {
					t.Fatalf("a checked default does not validate: %v", problems)
				}
			}
		}
	})
}
