// What the machine is, as far as it matters for the numbers.

package measure

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/prometheus/procfs"
)

// Machine describes where numbers were measured. Fields that can't be read are empty.
type Machine struct {
	OS       string  `json:"os"`     // "Debian GNU/Linux 12 (bookworm)"
	Kernel   string  `json:"kernel"` // "6.1.0-18-amd64"
	Arch     string  `json:"arch"`   // GOARCH
	CPU      string  `json:"cpu"`
	CPUs     int     `json:"cpus"` // that this process may use
	MemoryMB uint64  `json:"memoryMB"`
	Load     float64 `json:"load"` // average of the last minute when the measurement began
	Go       string  `json:"go"`   // version that built the benchmark
}

// ThisMachine describes this machine.
func ThisMachine() Machine {
	m := Machine{Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()}
	if b, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				m.OS = strings.Trim(strings.TrimSpace(v), `"`)
			}
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return m
	}
	if cpus, err := fs.CPUInfo(); err == nil && len(cpus) > 0 {
		m.CPU = cpus[0].ModelName
	}
	if mem, err := fs.Meminfo(); err == nil && mem.MemTotal != nil {
		m.MemoryMB = *mem.MemTotal / 1024
	}
	if load, err := fs.LoadAvg(); err == nil {
		m.Load = load.Load1
	}
	return m
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, Linux %s %s, %d × %s, %d MB, load %.1f, %s",
		m.OS, m.Kernel, m.Arch, m.CPUs, m.CPU, m.MemoryMB, m.Load, m.Go)
}
