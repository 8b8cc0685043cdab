// Results for people and for programs.

package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Book collects the scenarios of a benchmark program.
type Book struct {
	// Version of the JSON form: 1.
	Version   int         `json:"version"`
	Title     string      `json:"title"`
	Machine   Machine     `json:"machine"`
	Notes     []string    `json:"notes,omitempty"`
	Scenarios []*Scenario `json:"scenarios"`
}

// NewBook returns an empty book about this machine. Notes say what a reader must know to judge the
// numbers: versions, sizes, what was left out.
func NewBook(title string, notes ...string) *Book {
	return &Book{Version: 1, Title: title, Machine: ThisMachine(), Notes: notes, Scenarios: []*Scenario{}}
}

// Add adds a scenario.
func (b *Book) Add(s *Scenario) { b.Scenarios = append(b.Scenarios, s) }

// WriteJSON writes everything, with every sample.
func (b *Book) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(b)
}

// WriteText writes the machine and a table for each scenario: medians with minimum and maximum, and
// how many times the baseline's median each contestant takes.
func (b *Book) WriteText(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s\n%s\n", b.Title, b.Machine); err != nil {
		return err
	}
	for _, n := range b.Notes {
		if _, err := fmt.Fprintln(w, n); err != nil {
			return err
		}
	}
	for _, s := range b.Scenarios {
		if err := s.WriteText(w); err != nil {
			return err
		}
	}
	return nil
}

// WriteText writes the scenario's table.
func (s *Scenario) WriteText(w io.Writer) error {
	rounds := 0
	var base Result
	for _, r := range s.Results {
		rounds = max(rounds, len(r.Samples))
		if r.Contestant == s.Baseline {
			base = r
		}
	}
	if _, err := fmt.Fprintf(w, "\n%s (rounds: %d)\n", s.Name, rounds); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "  contestant\twall\tmin–max\tratio\tCPU\tmin–max\tratio\n")
	for _, r := range s.Results {
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", r.Contestant, column(r, base, Wall), column(r, base, CPU))
	}
	return tw.Flush()
}

// column prints a quantity: median, range, ratio to the baseline.
func column(r, base Result, of func(Sample) time.Duration) string {
	st, b := Stats(r.Samples, of), Stats(base.Samples, of)
	ratio := "–"
	if b.Median > 0 {
		ratio = fmt.Sprintf("%.2f", float64(st.Median)/float64(b.Median))
	}
	return fmt.Sprintf("%s\t%s–%s\t%s", seconds(st.Median), seconds(st.Min), seconds(st.Max), ratio)
}

// seconds prints a duration in one unit, so that columns compare.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
