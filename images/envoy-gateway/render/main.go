// render prints Envoy Gateway's manifest: the chart in the module that the
// controller is built from, with the values that AIBrix's gateway layer needs.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

const (
	module    = "github.com/envoyproxy/gateway"
	namespace = "envoy-gateway-system"
)

// module's folder and version, as go.mod pins them.
func source() (dir, version string, err error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}} {{.Version}}", module).Output()
	if err != nil {
		return "", "", fmt.Errorf("go list %s: %w", module, err)
	}
	dir, version, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	return dir, version, nil
}

// load reads the chart. Upstream keeps its values as a template with two names to fill in.
func load(dir, version string) (*chart.Chart, error) {
	root := filepath.Join(dir, "charts", "gateway-helm")
	c, err := loader.LoadDir(root)
	if err != nil {
		return nil, err
	}
	template, err := os.ReadFile(filepath.Join(root, "values.tmpl.yaml"))
	if err != nil {
		return nil, err
	}
	filled := strings.NewReplacer(
		"${GatewayImage}", "docker.io/envoyproxy/gateway:"+version,
		"${GatewayImagePullPolicy}", "IfNotPresent",
	).Replace(string(template))
	c.Values, err = chartutil.ReadValues([]byte(filled))
	return c, err
}

func render(c *chart.Chart) (map[string]string, error) {
	// AIBrix routes with an EnvoyPatchPolicy, which is off by default.
	own := map[string]any{"config": map[string]any{"envoyGateway": map[string]any{
		"extensionApis": map[string]any{"enableEnvoyPatchPolicy": true}}}}
	options := chartutil.ReleaseOptions{Name: "eg", Namespace: namespace, Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(c, own, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, values)
}

func printAll(c *chart.Chart, rendered map[string]string) {
	fmt.Printf("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n", namespace)
	for _, crd := range c.CRDObjects() {
		fmt.Printf("---\n%s\n", crd.File.Data)
	}
	names := []string{}
	for name := range rendered {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(rendered[name]) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Printf("---\n# Source: %s\n%s\n", name, rendered[name])
	}
}

func main() {
	log.SetFlags(0)
	dir, version, err := source()
	if err != nil {
		log.Fatal(err)
	}
	c, err := load(dir, version)
	if err != nil {
		log.Fatal(err)
	}
	rendered, err := render(c)
	if err != nil {
		log.Fatal(err)
	}
	printAll(c, rendered)
}
