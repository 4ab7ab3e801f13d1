package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
)

// Equal reports whether both describe the same probe.
func (c Check) Equal(other Check) bool {
	return c.Name == other.Name && c.Type == other.Type && c.Plugin == other.Plugin &&
		c.Interval == other.Interval && c.Timeout == other.Timeout && c.RetryInterval == other.RetryInterval &&
		c.Rise == other.Rise && c.Fall == other.Fall &&
		c.ConnectAddress == other.ConnectAddress && c.ConnectPort == other.ConnectPort && c.Bind == other.Bind &&
		c.User == other.User &&
		bytes.Equal(c.Settings, other.Settings) && slices.Equal(c.Sensitive, other.Sensitive) && slices.Equal(c.Capabilities, other.Capabilities)
}

// RedactedSettings returns Settings as they may be shown: the value of every
// sensitive key is "[redacted]".
func (c Check) RedactedSettings() map[string]json.RawMessage {
	shown := map[string]json.RawMessage{}
	if len(c.Settings) > 0 && json.Unmarshal(c.Settings, &shown) != nil {
		return map[string]json.RawMessage{}
	}
	for _, key := range c.Sensitive {
		if _, ok := shown[key]; ok {
			shown[key] = json.RawMessage(`"` + redacted + `"`)
		}
	}
	return shown
}

// plainCheck is Check without its methods, for MarshalJSON.
type plainCheck Check

// MarshalJSON encodes the check as its table in halo.toml would read, durations
// in nanoseconds, sensitive settings redacted.
func (c Check) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plainCheck
		Settings map[string]json.RawMessage `json:"settings"`
	}{plainCheck(c), c.RedactedSettings()})
}

// String names the check and shows its settings, sensitive ones redacted.
func (c Check) String() string {
	settings, err := json.Marshal(c.RedactedSettings())
	if err != nil {
		settings = []byte("{}")
	}
	return fmt.Sprintf("%s (%s from %s every %s) %s", c.Name, c.Type, c.Plugin, c.Interval, settings)
}

// Format prints what String returns for every verb, so that %+v shows no
// sensitive setting.
func (c Check) Format(state fmt.State, _ rune) { writeString(state, c.String()) }

// LogValue logs what String returns.
func (c Check) LogValue() slog.Value { return slog.StringValue(c.String()) }
