//go:build !wasip1

package policy

import "strings"

// nearest is the known word that was probably meant by word, or "": one that
// differs in case, in "-" and "_", or by at most one letter in three.
func nearest(word string, known []string) string {
	w := plain(word)
	best, distance := "", len(w)/3+1
	for _, k := range known {
		p := plain(k)
		d := 0
		if p != w {
			// A word that is close by length only is not worth the comparison.
			if len(p)-len(w) >= distance || len(w)-len(p) >= distance {
				continue
			}
			d = edits(w, p)
		}
		if d < distance || (d == distance && best != "" && k < best) {
			best, distance = k, d
		}
	}
	return best
}

var separators = strings.NewReplacer("-", "", "_", "")

func plain(word string) string { return separators.Replace(strings.ToLower(word)) }

// edits is the number of letters to insert, drop, replace or swap with their
// neighbour to get from a to b (optimal string alignment).
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
