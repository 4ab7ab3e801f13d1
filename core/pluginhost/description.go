package pluginhost

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/halo-ha/halo/sdk/schema"
)

// longestName is how much of a wrong name is repeated in an error.
const longestName = 64 // bytes

// IncompatibleError says that a plugin and this halo have no protocol version
// in common. It is permanent: only replacing one of the two helps.
type IncompatibleError struct {
	Name, Path string
	// Plugin and Host are the versions each side speaks, in any order.
	Plugin, Host []int
}

func (e *IncompatibleError) Error() string {
	remedy := "upgrade the plugin"
	if len(e.Plugin) > 0 && len(e.Host) > 0 && slices.Min(e.Plugin) > slices.Max(e.Host) {
		remedy = "upgrade halo, or install an older version of the plugin"
	}
	return fmt.Sprintf("plugin %s (%s) speaks %s, this halo speaks %s: %s",
		e.Name, e.Path, versionRange(e.Plugin), versionRange(e.Host), remedy)
}

// versionRange writes "protocol 1", "protocols 1 to 3" or "protocols 1, 3".
func versionRange(versions []int) string {
	if len(versions) == 0 {
		return "no protocol"
	}
	sorted := slices.Clone(versions)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	first, last := sorted[0], sorted[len(sorted)-1]
	switch {
	case first == last:
		return "protocol " + strconv.Itoa(first)
	case last-first == len(sorted)-1:
		return fmt.Sprintf("protocols %d to %d", first, last)
	}
	names := make([]string, len(sorted))
	for i, v := range sorted {
		names[i] = strconv.Itoa(v)
	}
	return "protocols " + strings.Join(names, ", ")
}

// parseDescription reads what the plugin at path printed when called with
// "describe". The protocol versions are looked at before the rest, since a
// plugin of another protocol may describe itself in other words.
func parseDescription(name, path string, output []byte, protocols []int) (schema.Plugin, error) {
	var header struct {
		Name      string `json:"name"`
		Protocols []int  `json:"protocols"`
	}
	if err := json.Unmarshal(output, &header); err != nil {
		return schema.Plugin{}, fmt.Errorf("describe plugin %s: read its answer: %w", path, err)
	}
	if header.Name != name {
		return schema.Plugin{}, fmt.Errorf("describe plugin %s: it calls itself %q; rename the file, or install the right one", path, shorten(printable(header.Name), longestName))
	}
	if _, ok := common(header.Protocols, protocols); !ok {
		return schema.Plugin{}, &IncompatibleError{Name: name, Path: path, Plugin: header.Protocols, Host: protocols}
	}
	var d schema.Plugin
	if err := json.Unmarshal(output, &d); err != nil {
		return schema.Plugin{}, fmt.Errorf("describe plugin %s: read its answer: %w", path, err)
	}
	if problems := schema.CheckPlugin(d); len(problems) > 0 {
		return schema.Plugin{}, fmt.Errorf("describe plugin %s: %w", path, &schema.SettingsError{Problems: problems})
	}
	return d, nil
}

// common returns the highest version that both sides speak.
func common(plugin, host []int) (version int, ok bool) {
	for _, v := range plugin {
		if slices.Contains(host, v) && (!ok || v > version) {
			version, ok = v, true
		}
	}
	return version, ok
}
