// verdicts reads a JSON list of objects from stdin and writes what GitOps tools make of each:
//
//	[{"kstatus": {"status", "message"}, "argo": {"status", "message"}}, ...]
//
// kstatus is the code that Flux waits with. Argo CD's health checks are Lua scripts in a folder of
// Argo CD's layout, GROUP/KIND/health.lua, which is the only argument.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// Verdict is a state and a message for people.
type Verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// Verdicts are those about one object.
type Verdicts struct {
	Kstatus Verdict `json:"kstatus"`
	Argo    Verdict `json:"argo"`
}

func judge(object *unstructured.Unstructured, scripts string) (Verdicts, error) {
	result, err := status.Compute(object)
	if err != nil {
		return Verdicts{}, fmt.Errorf("kstatus: %w", err)
	}
	health, err := argoHealth(object, scripts)
	if err != nil {
		return Verdicts{}, fmt.Errorf("health.lua: %w", err)
	}
	return Verdicts{Verdict{string(result.Status), result.Message}, health}, nil
}

func run(scripts string) error {
	var contents []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&contents); err != nil {
		return err
	}
	found := make([]Verdicts, 0, len(contents))
	for _, content := range contents {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(content); err != nil { // whole numbers stay whole
			return err
		}
		verdicts, err := judge(object, scripts)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		found = append(found, verdicts)
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verdicts FOLDER < objects.json")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "verdicts:", err)
		os.Exit(1)
	}
}
