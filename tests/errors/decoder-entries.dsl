module Net() {
    param words: [12, 6] init normal(0, 0.02)
}

task probe {
    dim B = 2
    net as "": Net()

    entry prefill(prompt_ids: int[B, 3]) {
        x = net.words[prompt_ids]
        output logits = x[:, 2] @ net.words.T
        output keys = reshape(x, [1, B, 1, 3, 6])
        output about = sum(x, 1)
    }

    entry many(tokens: int[2 * B], position: int[], keys: [1, 2 * B, 1, 9, 6], about: [2 * B, 6]) {
        x = net.words[tokens] + about + sum(keys) * float(position)
        output logits = x @ net.words.T
        output keys = reshape(x, [2 * B, 6])
    }

    entry odd(tokens: int[3], position: int[], mood: [B]) {
        output logits = net.words[tokens] @ net.words.T + sum(mood) + float(position)
    }

    entry unsure(tokens: int[B], position: int[B]) {
        output logits = net.words[tokens] @ net.words.T + float(position)[:, none]
    }

    entry mute(tokens: int[B], position: int[]) {
        output scores = net.words[tokens] @ net.words.T + float(position)
    }

    entry next_word(tokens: int[B], position: int[], keys: [1, B, 1, 9, 6], about: [B, 6]) {
        x = net.words[tokens] + about + sum(keys) * float(position)
        output logits = x @ net.words.T
        output keys = reshape(x, [1, B, 1, 1, 6])
    }

    decoder good {
        method = "greedy"
        prefill = "prefill"
        step = "next_word"
        max_length = 10
        end_id = 7
        pad_id = 0
    }

    decoder one {
        method = "beam"
        prefill = "prefill"
        step = "many"
        max_length = 10
        end_id = 7
        pad_id = 0
    }

    decoder two {
        method = "greedy"
        prefill = "prefill"
        step = "many"
        max_length = 10
        end_id = 7
        pad_id = 0
    }

    decoder three {
        method = "sample"
        prefill = "prefill"
        step = "odd"
        max_length = 10
        end_id = 7
        pad_id = 0
    }

    decoder four {
        method = "greedy"
        prefill = "prefill"
        step = "unsure"
        max_length = 10
        end_id = 7
        pad_id = 0
    }

    decoder five {
        method = "greedy"
        prefill = "prefill"
        step = "mute"
        max_length = 10
        end_id = 7
        pad_id = 0
    }

    decoder six {
        method = "greedy"
        prefill = "next_word"
        step = "next_word"
        max_length = 10
        end_id = 7
        pad_id = 0
    }
}
