//go:build !race

package pluginhost

// failedStarts is how often a start fails in the test for leaks.
const failedStarts = 1000
