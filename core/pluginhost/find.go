package pluginhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// binaryName is what plugin files are called: halo-<kind>-<name>.
var binaryName = regexp.MustCompile(`^halo-(check|track|notify)-[a-z0-9][a-z0-9-]{0,47}$`)

// found is a plugin file by its name alone: nothing has been checked.
type found struct {
	name, path string
	// shadows lists files of the same name in later directories.
	shadows []string
}

// find lists the plugin files of dirs, sorted by name. The first directory
// that has a name wins. A directory that does not exist holds no plugins; one
// that cannot be read is an error, returned with what the others hold.
func find(dirs []string) ([]found, error) {
	var plugins []found
	var problems []error
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				problems = append(problems, fmt.Errorf("read plugin directory: %w", err))
			}
			continue
		}
		for _, e := range entries {
			if !binaryName.MatchString(e.Name()) || e.IsDir() {
				continue
			}
			path := filepath.Join(dir, e.Name())
			at := slices.IndexFunc(plugins, func(f found) bool { return f.name == e.Name() })
			if at < 0 {
				plugins = append(plugins, found{name: e.Name(), path: path})
			} else if plugins[at].path != path {
				plugins[at].shadows = append(plugins[at].shadows, path)
			}
		}
	}
	slices.SortFunc(plugins, func(a, b found) int { return strings.Compare(a.name, b.name) })
	return plugins, errors.Join(problems...)
}

// locate finds one plugin by name.
func locate(dirs []string, name string) (found, error) {
	if !binaryName.MatchString(name) {
		return found{}, fmt.Errorf("plugin %q: not a plugin's name (halo-check-NAME, halo-track-NAME or halo-notify-NAME)", name)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return found{name: name, path: path}, nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found{}, fmt.Errorf("find plugin %s: %w", name, err)
		}
	}
	return found{}, fmt.Errorf("plugin %s: not found in %s", name, strings.Join(dirs, ", "))
}
