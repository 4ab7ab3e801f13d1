// Package schema describes what a plugin offers: its types and, for each type,
// the settings a person may write in halo.toml.
//
// The values here are plain data. A plugin fills them from a tagged Go struct
// (Of), prints them as JSON when called with "describe", and sends the same
// over the Describe RPC; the core checks the configuration against them and
// `halo plugin info` prints them. A plugin in another language fills the same
// JSON by hand. Nothing here does I/O.
//
// Read Type first.
package schema

// Kind says what a type is for.
type Kind string

// The kinds of SDK v1. KindNotify is a reserved word of the protocol; a host
// refuses a kind it does not know by naming it.
const (
	KindCheck  Kind = "check"
	KindTrack  Kind = "track"
	KindNotify Kind = "notify"
)

// Plugin is what one plugin binary says of itself.
type Plugin struct {
	// Name is the file name without directory: "halo-check-tcp".
	Name string `json:"name"`
	// Version is the plugin's own version, free text, semver by custom.
	Version string `json:"version"`
	// SDK is the version of the SDK it was built with ("go/1.0.0").
	SDK string `json:"sdk"`
	// Protocols lists the protocol versions it speaks, highest first.
	Protocols []int `json:"protocols"`
	// Types lists what it provides.
	Types []Type `json:"types"`
}

// Type is one word a person may write as `type = "..."`.
type Type struct {
	Name     string    `json:"name"`
	Kind     Kind      `json:"kind"`
	Doc      string    `json:"doc"`
	Settings []Setting `json:"settings"`
}

// ValueKind is the TOML shape of a setting.
type ValueKind string

// The shapes a setting can have. Durations are strings as in the rest of
// halo.toml ("1.5s").
const (
	Bool     ValueKind = "bool"
	Int      ValueKind = "int"
	Float    ValueKind = "float"
	String   ValueKind = "string"
	Duration ValueKind = "duration"
	Strings  ValueKind = "strings" // a list of strings
	Ints     ValueKind = "ints"    // a list of integers
	Map      ValueKind = "map"     // a table of strings
)

// Setting is one key of a type's table.
type Setting struct {
	Name     string    `json:"name"`
	Kind     ValueKind `json:"kind"`
	Doc      string    `json:"doc"`
	Required bool      `json:"required,omitempty"`
	// Default is written as in TOML ("\"5s\"", "3", "true"); empty means none.
	Default string `json:"default,omitempty"`
	// Min and Max bound numbers, durations (as strings) and the length of lists; empty means unbounded.
	Min string `json:"min,omitempty"`
	Max string `json:"max,omitempty"`
	// Enum lists the allowed words of a string; empty means any.
	Enum []string `json:"enum,omitempty"`
	// Sensitive values are never printed.
	Sensitive bool `json:"sensitive,omitempty"`
	// Capability names the privilege this setting needs when used ("net_raw"); empty means none.
	Capability string `json:"capability,omitempty"`
}
