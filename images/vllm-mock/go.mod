module aibrix-devenv/images/vllm-mock

go 1.26.0
