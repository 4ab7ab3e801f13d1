package config

// Keys lists every key that halo.toml takes, in the order in which they are
// read, without the settings of check types, which `halo plugin info` lists.
//
// The list is made by the very code that reads a file, so it cannot differ
// from it.
func Keys() []Key {
	var keys []Key
	r := &reader{
		source:  newSource("", ""),
		machine: machine{hasAccount: func(string) bool { return false }},
		origins: map[*Check]origin{},
		record:  func(k Key) { keys = append(keys, k) },
	}
	r.generation(newTable(0))
	return keys
}
