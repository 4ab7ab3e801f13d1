//go:build race

package pluginhost

// failedStarts is how often a start fails in the test for leaks. The race
// detector makes the keys of each start so slow that a thousand take a minute.
const failedStarts = 250
