# Visual question answering (VQA.py): answers are written in training, and ranked among a list in
# evaluation.

import "../models/losses.dsl"
import "../models/xvlm_vqa.dsl"
import "training.dsl"

task vqa {
    config vqa_root = none
    config vg_root = none
    config batch_size_train = 24
    config batch_size_test = 32
    config max_tokens = 40
    config num_dec_layers = 6
    config k_test = 128
    config answers_per_question = 10
    config max_answer_tokens = 16
    config answer_list_size = 3128

    set image_res = 384
    set optimizer.lr = 5e-5
    set schedular.epochs = 10
    set schedular.num_warmup_steps = 0.1

    dim T = max_tokens
    dim A = max_answer_tokens
    let R = image_res
    let pad = text_config.pad_token_id
    let V = text_config.vocab_size

    model as "": VqaModel()

    optimizer adamw {
        lr = optimizer.lr
        weight_decay = optimizer.weight_decay
        lr_mult = optimizer.lr_mult
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
    }

    # The decoder starts from the fusion layers, but for keys and values of another width
    # (models/model_vqa.py).
    source "X-VLM pre-training" {
        let is_other_width = model.encoders.vision_encoder.width != text_config.hidden_size
        for i in 0..num_dec_layers {
            let fusion = text_config.fusion_layer + i
            if is_other_width {
                load "text_decoder.bert.encoder.layer.{i}.crossattention.self.key.*" = none
                load "text_decoder.bert.encoder.layer.{i}.crossattention.self.value.*" = none
            }
            load "text_decoder.bert.encoder.layer.{i}.*" = "text_encoder.bert.encoder.layer.{fusion}.*"
        }
        load "text_decoder.*" = "text_encoder.*"
        load "text_encoder.*" = "text_encoder.bert.*"
    }

    # Substring rule of the official optimizer (optim.py).
    no_decay ["bias", "LayerNorm.weight", "norm.weight", "norm1.weight", "norm2.weight"]

    # Questions with k[b] answers each, one after the other in N rows; rows beyond them weigh nothing.
    entry answers(
        image: [B, 3, R, R], question_ids: int[B, T], question_atts: int[B, T],
        answer_ids: int[N, A], answer_atts: int[N, A], k: int[B], weights: [N]) {
        data "vqa" {}
        dim B = batch_size_train
        dim N = batch_size_train * answers_per_question
        output image_embeds = model.encoders.vision_encoder(image)
        output question_states = model.question_states(image_embeds, question_ids, question_atts)

        # Answer n belongs to the question before which all counts together are at most n.
        place = arange(B)
        ends = sum(where(place <= place[:, none], k, 0), 1)
        question = minimum(sum(int(ends <= arange(N)[:, none]), 1), B - 1)
        output answer_logits = model.scores(
            answer_ids, answer_atts, question_states[question], question_atts[question])
        output answer_loss = answer_losses(answer_logits, answer_ids, pad)
        output loss = sum(weights * answer_loss) / B
        minimise loss
    }

    # The best of a list of answers: the k_test whose first word is likeliest, ranked by their first word's and their
    # whole log-probability (the first word counts twice, as in models/model_vqa.py).
    entry rank(
        image: [B, 3, R, R], question_ids: int[B, T], question_atts: int[B, T],
        list_ids as "eval.answer_ids": int[M, A], list_atts as "eval.answer_atts": int[M, A]) {
        dim B = batch_size_test
        dim M = answer_list_size
        dim A = max_answer_tokens
        let K = k_test
        assert K <= M, "k_test exceeds the number of answers in the list"
        states = model.question_states(
            model.encoders.vision_encoder(image), question_ids, question_atts)
        start = reshape(list_ids[0, 0] + int(zeros([B])), [B, 1])
        first = model.scores(start, int(ones([B, 1])), states, question_atts)
        output first_token_logits as "eval.first_token_logits" = reshape(first, [B, V])

        likely = softmax(first_token_logits).T[list_ids[:, 1]].T
        chosen = top_k(likely, K)
        at = arange(B)[:, none] * M + chosen
        rows = reshape(chosen, [B * K])
        logits = model.scores(list_ids[rows], list_atts[rows], states, question_atts)
        output answer_loss as "eval.rerank_answer_loss" = answer_losses(logits, list_ids[rows], pad)

        scores = log(reshape(likely, [B * M])[at]) - reshape(answer_loss, [B, K])
        probabilities = softmax(scores)
        order = arange(B)[:, none] * K + top_k(probabilities, K)
        output topk_ids as "eval.topk_ids" = rows[order]
        output topk_probs as "eval.topk_probs" = reshape(probabilities, [B * K])[order]
    }
}
