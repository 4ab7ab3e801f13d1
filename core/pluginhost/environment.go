package pluginhost

import (
	"os"
	"slices"
	"strings"
)

// lifelineVariable names the descriptor at whose end-of-file a plugin ends.
const lifelineVariable = "HALO_PLUGIN_LIFELINE_FD"

// reserved reports whether the launch itself sets a variable. A configuration
// cannot: it could point a plugin's socket elsewhere.
func reserved(name string) bool {
	return strings.HasPrefix(name, "PLUGIN_") || strings.HasPrefix(name, "HALO_PLUGIN_")
}

// environment is what a plugin gets: nothing of the daemon's but the time zone
// and the language, a fixed PATH, what the configuration adds, and on top, so
// that it wins, what go-plugin wants it to have.
func environment(extra map[string]string, handshake []string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range []string{"LANG", "LC_ALL", "TZ"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	names := make([]string, 0, len(extra))
	for name := range extra {
		if !reserved(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		env = append(env, name+"="+extra[name])
	}
	return append(env, handshake...)
}
