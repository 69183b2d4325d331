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

    decoder good {
        method = "greedy"
        prefill = "prefill"
        step = "next_word"
        max_length = 10
        end_id = 7
        pad_id = 0
    }

    decoder one {
        method = "beems"
        prefill = "prefill"
        step = "next_word"
        max_length = 10
        end_id = 7
        pad_id = 0
    }

    decoder two {
        method = "greedy"
        prefill = "prefill"
        step = "next_wort"
        max_length = 10
        end_id = 7
        pad_id = 0
    }

    decoder three {
        method = "greedy"
        prefill = "prefill"
        step = "next_word"
        max_length = 10
        end_id = 12
        pad_id = 0
    }

    decoder four {
        method = "greedy"
        prefill = "prefill"
        step = "next_word"
        max_length = 3
        end_id = 7
        pad_id = 0
    }

    decoder five {
        method = "greedy"
        prefill = "prefill"
        step = "next_word"
        max_length = 11
        end_id = 7
        pad_id = 0
    }

    decoder six {
        method = "greedy"
        prefill = "prefill"
        step = "next_word"
        max_length = 10
        end_id = 7
        pad_id = 0
        min_lenght = 2
    }

    decoder seven {
        method = "greedy"
        prefill = "prefill"
        step = "next_word"
        max_length = 10
        end_id = "[SEP]"
        pad_id = 0
    }

    decoder eight {
        method = "greedy"
        prefill = "prefill"
        step = "next_word"
    }
}
