package schema_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/sdk/schema"
)

type transport struct {
	Verify bool   `halo:"verify" doc:"Verify the certificate." default:"true"`
	Mark   uint32 `halo:"fwmark" doc:"Firewall mark." capability:"net_raw"`
}

// everything has one field of every kind a setting can have.
type everything struct {
	transport

	Path     string            `halo:"path" doc:"What to ask for." default:"/"`
	Host     *string           `halo:"host"`
	Port     uint16            `halo:"port" min:"1"`
	Small    int8              `halo:"small"`
	Retries  int               `halo:"retries" default:"3" min:"0" max:"10"`
	Ratio    float64           `halo:"ratio" default:"0.5" min:"0" max:"1"`
	Pause    time.Duration     `halo:"pause" default:"1.5s" max:"1m"`
	Dialect  string            `halo:"dialect" enum:"plain,nagios" default:"plain"`
	Command  []string          `halo:"command" required:"true" min:"1" max:"3"`
	Codes    []int             `halo:"codes" default:"0, 1"`
	Headers  map[string]string `halo:"headers" max:"2"`
	Password string            `halo:"password" sensitive:"true"`
	Modes    []string          `halo:"modes" enum:"fast,slow" default:"fast"`
	Ready    *bool             `halo:"ready"`
	Wait     *time.Duration    `halo:"wait"`
	Computed int               `halo:"-"`

	hidden int
}

func TestOfDerivesEverySetting(t *testing.T) {
	got, err := schema.Of(everything{hidden: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := []schema.Setting{
		{Name: "verify", Kind: schema.Bool, Doc: "Verify the certificate.", Default: "true"},
		{Name: "fwmark", Kind: schema.Int, Doc: "Firewall mark.", Min: "0", Max: "4294967295", Capability: "net_raw"},
		{Name: "path", Kind: schema.String, Doc: "What to ask for.", Default: `"/"`},
		{Name: "host", Kind: schema.String},
		{Name: "port", Kind: schema.Int, Min: "1", Max: "65535"},
		{Name: "small", Kind: schema.Int, Min: "-128", Max: "127"},
		{Name: "retries", Kind: schema.Int, Default: "3", Min: "0", Max: "10"},
		{Name: "ratio", Kind: schema.Float, Default: "0.5", Min: "0", Max: "1"},
		{Name: "pause", Kind: schema.Duration, Default: `"1.5s"`, Min: "0s", Max: "1m"},
		{Name: "dialect", Kind: schema.String, Default: `"plain"`, Enum: []string{"plain", "nagios"}},
		{Name: "command", Kind: schema.Strings, Required: true, Min: "1", Max: "3"},
		{Name: "codes", Kind: schema.Ints, Default: "[0, 1]"},
		{Name: "headers", Kind: schema.Map, Max: "2"},
		{Name: "password", Kind: schema.String, Sensitive: true},
		{Name: "modes", Kind: schema.Strings, Default: `["fast"]`, Enum: []string{"fast", "slow"}},
		{Name: "ready", Kind: schema.Bool},
		{Name: "wait", Kind: schema.Duration, Min: "0s"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if fromPointer, err := schema.Of(&everything{}); err != nil || !cmp.Equal(want, fromPointer) {
		t.Errorf("a pointer to the struct gives %v, %v; want the same", fromPointer, err)
	}
}

func TestOfOfNothingIsNothing(t *testing.T) {
	got, err := schema.Of(struct{}{})
	if err != nil || len(got) != 0 {
		t.Errorf("Of(struct{}{}) = %v, %v; want no settings", got, err)
	}
}

func TestOfRefusesMistakes(t *testing.T) {
	for _, tc := range []struct {
		name string
		v    any
		want string
	}{
		{"not a struct", 3, "must be a struct"},
		{"nil", nil, "must be a struct"},
		{"no tag", struct{ A string }{}, "has no halo tag"},
		{"bad key", struct {
			A string `halo:"Bad-Key"`
		}{}, "is not a word"},
		{"twice", struct {
			A string `halo:"a"`
			B string `halo:"a"`
		}{}, "used twice"},
		{"channel", struct {
			A chan int `halo:"a"`
		}{}, "cannot be a setting"},
		{"list of durations", struct {
			A []time.Duration `halo:"a"`
		}{}, "cannot be a setting"},
		{"pointer to list", struct {
			A *[]string `halo:"a"`
		}{}, "cannot be a setting"},
		{"map of numbers", struct {
			A map[string]int `halo:"a"`
		}{}, "cannot be a setting"},
		{"unexported with tag", struct {
			a string `halo:"a"`
		}{a: ""}, "must be exported"},
		{"required and default", struct {
			A string `halo:"a" required:"true" default:"x"`
		}{}, "required and has a default"},
		{"required misspelt", struct {
			A string `halo:"a" required:"yes"`
		}{}, `must be "true"`},
		{"sensitive misspelt", struct {
			A string `halo:"a" sensitive:"1"`
		}{}, `must be "true"`},
		{"default out of range", struct {
			A int `halo:"a" default:"11" max:"10"`
		}{}, "out of range"},
		{"default of another kind", struct {
			A int `halo:"a" default:"many"`
		}{}, "not valid JSON"},
		{"default not in enum", struct {
			A string `halo:"a" default:"z" enum:"x,y"`
		}{}, "not one of"},
		{"default of a map", struct {
			A map[string]string `halo:"a" default:"{}"`
		}{}, "no default"},
		{"default not a duration", struct {
			A time.Duration `halo:"a" default:"5"`
		}{}, "not a duration"},
		{"bound of a string", struct {
			A string `halo:"a" min:"1"`
		}{}, "no bounds"},
		{"bound not a number", struct {
			A int `halo:"a" max:"ten"`
		}{}, "not written as a bound"},
		{"bounds swapped", struct {
			A int `halo:"a" min:"5" max:"1"`
		}{}, "above max"},
		{"bounds wider than the field", struct {
			A uint8 `halo:"a" max:"300"`
		}{}, "more than uint8 can hold"},
		{"negative for unsigned", struct {
			A uint `halo:"a" min:"-1"`
		}{}, "more than uint can hold"},
		{"enum of numbers", struct {
			A int `halo:"a" enum:"1,2"`
		}{}, "cannot have"},
		{"enum doubled", struct {
			A string `halo:"a" enum:"x,x"`
		}{}, "doubled"},
		{"bad capability", struct {
			A string `halo:"a" capability:"CAP NET"`
		}{}, "capability"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := schema.Of(tc.v)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Of = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestOfReportsEveryMistake(t *testing.T) {
	_, err := schema.Of(struct {
		A chan int `halo:"a"`
		B string
	}{})
	if err == nil || !strings.Contains(err.Error(), "field A") || !strings.Contains(err.Error(), "field B") {
		t.Errorf("Of = %v, want both fields named", err)
	}
}

func TestDecodeFillsDefaultsThenValues(t *testing.T) {
	var got everything
	err := schema.Decode([]byte(`{
		"command": ["/bin/true", "-x"], "port": 80, "small": -128, "host": "www", "ratio": 1,
		"pause": "250ms", "codes": [], "headers": {"a": "b"}, "password": "pw", "fwmark": 4294967295,
		"ready": false
	}`), &got)
	if err != nil {
		t.Fatal(err)
	}
	host, ready := "www", false
	want := everything{
		transport: transport{Verify: true, Mark: 4294967295},
		Path:      "/", Host: &host, Port: 80, Small: -128, Retries: 3, Ratio: 1,
		Pause: 250 * time.Millisecond, Dialect: "plain", Command: []string{"/bin/true", "-x"},
		Codes: []int{}, Headers: map[string]string{"a": "b"}, Password: "pw",
		Modes: []string{"fast"}, Ready: &ready,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(everything{})); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestDecodeLeavesTheTargetAloneOnError(t *testing.T) {
	got := everything{Path: "before"}
	if err := schema.Decode([]byte(`{"path": "after"}`), &got); err == nil {
		t.Fatal("a missing required key was accepted")
	}
	if got.Path != "before" {
		t.Errorf("path = %q, want it untouched", got.Path)
	}
}

func TestDecodeNeedsAPointerToAStruct(t *testing.T) {
	number := 3
	for _, into := range []any{nil, everything{}, (*everything)(nil), &number} {
		if err := schema.Decode(nil, into); err == nil {
			t.Errorf("Decode into %T was accepted", into)
		}
	}
}

func TestDecodeNamedTypes(t *testing.T) {
	type word string
	var got struct {
		Mode  word          `halo:"mode" default:"on"`
		Words []word        `halo:"words"`
		Table map[word]word `halo:"table"`
		Big   []int64       `halo:"big" default:"[9223372036854775807]"`
	}
	if err := schema.Decode([]byte(`{"words":["a"],"table":{"k":"v"}}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.Mode != "on" || got.Words[0] != "a" || got.Table["k"] != "v" || got.Big[0] != 9223372036854775807 {
		t.Errorf("decoded %+v", got)
	}
}
